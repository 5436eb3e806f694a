//! Paths that agents neither read nor write, as the operator lists them, and every way to reach one.

use super::real::{LastLink, Real, Resolver};
use globset::{Glob, GlobMatcher};
use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};
use unicode_normalization::UnicodeNormalization;

/// Files below restricted directories that are compared with a file of several names.
const LINKED_FILES_MAX: usize = 4096;
/// Files that are looked at below a directory that is read whole, while patterns are restricted.
const TREE_FILES_MAX: usize = 10_000;

/// One entry of `DEFAULT_RESTRICTED_PATHS`: a file, a directory with all below, or a pattern.
#[derive(Debug, Clone)]
pub struct RestrictedPath {
    written: String,
    pattern: Option<GlobMatcher>,
}

/// Why a text is no restricted path; what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("absolute paths, paths from ~/ or **/ on, or glob patterns of these, without ..")]
pub struct NotAPath;

impl FromStr for RestrictedPath {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let path = Path::new(text);
        let has_start = text.starts_with('/') || text.starts_with("~/") || text.starts_with("**/");
        let is_plain =
            path.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir));
        let names_something =
            path.components().any(|part| matches!(part, Component::Normal(name) if name != "~"));
        if !has_start || !is_plain || !names_something || text.contains('\0') {
            return Err(NotAPath);
        }
        let has_meta = text.contains(['*', '?', '[', '{']);
        let pattern = has_meta.then(|| globset::GlobBuilder::new(text).literal_separator(true).build());
        let pattern = pattern.transpose().map_err(|_| NotAPath)?.map(|glob| glob.compile_matcher());
        Ok(Self { written: text.trim_end_matches('/').to_owned(), pattern })
    }
}

impl fmt::Display for RestrictedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// What of the restricted a path reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    Nothing,
    /// This entry.
    Entry(String),
    /// There is more to look at than is looked at.
    TooMuch,
}

/// The restricted paths as they are on this machine now.
#[derive(Debug)]
pub(crate) struct Restricted {
    places: Vec<Place>,
    patterns: Vec<(String, GlobMatcher)>,
}

#[derive(Debug)]
struct Place {
    written: String,
    /// Without links; it need not exist.
    real: PathBuf,
    /// In the form in which spellings are compared.
    folded: String,
    inode: Option<(u64, u64)>,
    is_dir: bool,
}

impl Restricted {
    /// The entries, `~` being each of these homes.
    pub(crate) fn now(entries: &[RestrictedPath], homes: &[&Path], resolver: &Resolver) -> Self {
        let mut restricted = Self { places: vec![], patterns: vec![] };
        for entry in entries {
            let below_home = entry.written.strip_prefix("~/");
            for path in match below_home {
                Some(below) => homes.iter().map(|home| home.join(below)).collect(),
                None => vec![PathBuf::from(&entry.written)],
            } {
                match &entry.pattern {
                    None => restricted.places.extend(Place::of(entry, &path, resolver)),
                    Some(pattern) if below_home.is_none() => {
                        restricted.patterns.push((entry.written.clone(), pattern.clone()));
                    }
                    Some(_) => {
                        restricted
                            .patterns
                            .extend(below(&path, entry).map(|glob| (entry.written.clone(), glob)));
                    }
                }
            }
        }
        restricted
    }

    /// What a real path reaches; with `tree` also what is below it.
    pub(crate) fn reach(&self, real: &Path, tree: bool) -> Reach {
        let folded = fold(real);
        for place in &self.places {
            let is_below = is_within(&folded, &place.folded);
            let is_above = tree && place.inode.is_some() && is_within(&place.folded, &folded);
            if is_below || is_above {
                return Reach::Entry(place.written.clone());
            }
        }
        if let Some(found) = real.ancestors().find_map(|above| {
            self.patterns.iter().find(|(_, pattern)| pattern.is_match(above)).map(|(written, _)| written)
        }) {
            return Reach::Entry(found.clone());
        }
        match self.reach_by_inode(real) {
            Reach::Nothing if tree && !self.patterns.is_empty() => self.search(real),
            reach => reach,
        }
    }

    /// The entry that a name which begins like this, in this real directory, may come to.
    pub(crate) fn may_become(&self, dir: &Path, begun: &str) -> Option<&str> {
        let begun = fold(&dir.join(begun));
        self.places.iter().find(|place| place.folded.starts_with(&begun)).map(|place| place.written.as_str())
    }

    /// The entry that a pattern may match whose parts follow on this real directory; with `tree` also one below what it
    /// matches.
    pub(crate) fn matched_by(&self, dir: &Path, pattern: &[String], tree: bool) -> Option<&str> {
        let dir = fold(dir);
        let may_match = |place: &&Place| {
            if !is_within(&place.folded, &dir) {
                return false;
            }
            let parts: Vec<&str> =
                place.folded[dir.len()..].split('/').filter(|part| !part.is_empty()).collect();
            let is_deep = pattern.iter().any(|part| part.contains("**"));
            let is_long_enough = tree || is_deep || pattern.len() >= parts.len();
            let matches = |(pattern, part): (&String, &&str)| part_matcher(&pattern.to_lowercase())(part);
            !parts.is_empty() && is_long_enough && (is_deep || pattern.iter().zip(&parts).all(matches))
        };
        self.places.iter().find(may_match).map(|place| place.written.as_str())
    }

    /// The same file under another name: a hard link, a mount, a file system that does not tell cases apart.
    fn reach_by_inode(&self, real: &Path) -> Reach {
        for above in real.ancestors() {
            let Ok(metadata) = fs::symlink_metadata(above) else { continue };
            let inode = (metadata.dev(), metadata.ino());
            if let Some(place) = self.places.iter().find(|place| place.inode == Some(inode)) {
                return Reach::Entry(place.written.clone());
            }
            if above == real && metadata.is_file() && metadata.nlink() > 1 {
                match self.linked_below(inode) {
                    Reach::Nothing => {}
                    reach => return reach,
                }
            }
        }
        Reach::Nothing
    }

    fn linked_below(&self, inode: (u64, u64)) -> Reach {
        let mut left = LINKED_FILES_MAX;
        for place in self.places.iter().filter(|place| place.is_dir) {
            let found = each_below(&place.real, &mut left, &mut |_, metadata| {
                (metadata.dev(), metadata.ino()) == inode
            });
            match found {
                Some(true) => return Reach::Entry(place.written.clone()),
                Some(false) => {}
                None => return Reach::TooMuch,
            }
        }
        Reach::Nothing
    }

    /// Looks for what patterns restrict below a directory.
    fn search(&self, real: &Path) -> Reach {
        let mut left = TREE_FILES_MAX;
        let mut entry = None;
        let found = each_below(real, &mut left, &mut |path, _| {
            entry = self
                .patterns
                .iter()
                .find(|(_, pattern)| pattern.is_match(path))
                .map(|(name, _)| name.clone());
            entry.is_some()
        });
        match (found, entry) {
            (None, _) => Reach::TooMuch,
            (_, Some(entry)) => Reach::Entry(entry),
            (_, None) => Reach::Nothing,
        }
    }
}

impl Place {
    fn of(entry: &RestrictedPath, path: &Path, resolver: &Resolver) -> Vec<Self> {
        let named = [Some(path.to_owned()), resolved(resolver, path)].into_iter().flatten();
        let mut places: Vec<Self> = named
            .map(|real| {
                let metadata = fs::metadata(&real).ok();
                Self {
                    written: entry.written.clone(),
                    folded: fold(&real),
                    inode: metadata.as_ref().map(|metadata| (metadata.dev(), metadata.ino())),
                    is_dir: metadata.is_some_and(|metadata| metadata.is_dir()),
                    real,
                }
            })
            .collect();
        places.dedup_by(|one, other| one.real == other.real);
        places
    }
}

/// The pattern of an entry whose `~` was replaced. A home may have characters of patterns in its name.
fn below(path: &Path, entry: &RestrictedPath) -> Option<GlobMatcher> {
    let whole = path.to_string_lossy();
    let tail = entry.written.strip_prefix('~')?;
    let home = whole.strip_suffix(tail)?;
    let pattern = globset::escape(home) + tail;
    let glob = globset::GlobBuilder::new(&pattern).literal_separator(true).build();
    glob.ok().map(|glob| glob.compile_matcher())
}

fn resolved(resolver: &Resolver, path: &Path) -> Option<PathBuf> {
    match resolver.resolve(Path::new("/"), path, LastLink::Follow) {
        Ok(Real::Path(real)) => Some(real),
        Ok(Real::Stream) | Err(_) => None,
    }
}

/// The form in which paths are compared: some file systems do not tell cases apart, others normalise names. Where the
/// file system does tell them apart this restricts a name nobody uses.
fn fold(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.nfc().collect::<String>().to_lowercase() }
}

fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || above == "/")
}

/// Whether a name matches one part of a shell's pattern. What is not understood matches everything.
pub(crate) fn part_matcher(pattern: &str) -> impl Fn(&str) -> bool {
    let is_plain = !pattern.contains(['(', '{']) && !pattern.contains("[:") && !pattern.contains("[^");
    let glob = is_plain.then(|| Glob::new(pattern).ok()).flatten().map(|glob| glob.compile_matcher());
    move |name| glob.as_ref().is_none_or(|glob| glob.is_match(name))
}

/// Shows everything below a directory until one is it; `None` when there is more than may be looked at.
fn each_below(
    dir: &Path,
    left: &mut usize,
    is_it: &mut impl FnMut(&Path, &fs::Metadata) -> bool,
) -> Option<bool> {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = fs::read_dir(dir) else { continue };
        for entry in entries.flatten() {
            *left = left.checked_sub(1)?;
            let Ok(metadata) = entry.metadata() else { continue };
            if is_it(&entry.path(), &metadata) {
                return Some(true);
            }
            if metadata.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_restricted_path_is_refused() {
        for text in ["", "/", "~", "~/", "etc/passwd", "/etc/../x", "~root/x", "**", "/a\0", "/[", "./x"] {
            assert!(text.parse::<RestrictedPath>().is_err(), "{text:?}");
        }
        for text in ["/etc/passwd", "~/.ssh", "~/.ssh/", "**/*.pem", "/srv/*/secret", "~/.config/{gh,hub}"] {
            assert!(text.parse::<RestrictedPath>().is_ok(), "{text}");
        }
    }
}
