//! Looks where each name leads, and says what the policy says of it.

use super::{
    NAME, PathSettings,
    access::{Access, Use},
    real::{Astray, LastLink, Real, Resolver},
    restricted::{Reach, Restricted},
    spelling::{expand_home, other_readings},
    territory::Territory,
};
use crate::{
    Surroundings,
    shell::{Place, UnknownWord, Word},
};
use domain::{Opinion, Verdict};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Directory entries that are looked at to see what a pattern matches.
const MATCHES_MAX: usize = 20_000;
/// A name longer than this is none, but a program's text.
const NAME_BYTES_MAX: usize = 4096;

/// The greatest opinion of all these uses.
pub(crate) fn look(
    settings: &PathSettings,
    surroundings: &Surroundings,
    cwd: &Path,
    accesses: &[Access],
) -> Opinion {
    let resolver = Resolver::new(cwd);
    let homes: Vec<&Path> =
        [Some(surroundings.home.as_path()), settings.user_home.as_deref()].into_iter().flatten().collect();
    let mut eyes = Eyes {
        restricted: Restricted::now(&settings.restricted, &homes, &resolver),
        territory: Territory::of(surroundings, settings, &resolver),
        homes,
        cwd,
        resolver,
    };
    let mut greatest = Opinion::abstain(NAME);
    for access in accesses {
        greatest = greatest.or(eyes.look(access));
        if greatest.verdict == Verdict::Deny {
            break;
        }
    }
    greatest
}

struct Eyes<'a> {
    restricted: Restricted,
    territory: Territory,
    /// The agent's own first.
    homes: Vec<&'a Path>,
    cwd: &'a Path,
    resolver: Resolver,
}

fn deny(rule: impl Into<String>, reason: String) -> Opinion {
    Opinion::new(Verdict::Deny, NAME, rule, reason)
}

fn ask(rule: impl Into<String>, reason: String) -> Opinion {
    Opinion::new(Verdict::Ask, NAME, rule, reason)
}

impl Eyes<'_> {
    fn look(&mut self, access: &Access) -> Opinion {
        let base = match &access.place {
            Place::Known(dir) => Some(PathBuf::from(self.home_expanded(&dir.to_string_lossy()))),
            Place::Unknown => None,
        };
        let base = base.as_deref();
        match &access.name {
            Word::Known(text) => self.known(access, base, text),
            Word::Pattern(pattern) => self.pattern(access, base, pattern),
            Word::Unknown(unknown) => self.unknown(access, base, unknown),
        }
    }

    fn known(&mut self, access: &Access, base: Option<&Path>, text: &str) -> Opinion {
        if access.what == Use::Mention && (text.len() > NAME_BYTES_MAX || text.contains('\n')) {
            return Opinion::abstain(NAME);
        }
        let path = self.home_expanded(text);
        if base.is_none() && !path.starts_with('/') && access.what == Use::Write {
            let reason = format!("where {text:?} is written cannot be known: the directory is not known");
            return ask("unknown place", reason);
        }
        let base = base.unwrap_or(Path::new(""));
        let opinion = match self.resolver.resolve(base, Path::new(&path), access.last) {
            Ok(Real::Stream) => Opinion::abstain(NAME),
            Ok(Real::Path(real)) => {
                if let Some(target) = &access.links_to {
                    self.resolver.link(real.clone(), PathBuf::from(self.home_expanded(target)));
                }
                self.place(access, text, &real)
            }
            Err(Astray::TooLong) if access.what == Use::Mention => Opinion::abstain(NAME),
            Err(astray) => deny("astray", format!("{text:?} cannot be used: {astray}")),
        };
        opinion.or(self.taken_for(base, text, access.tree))
    }

    /// What is to be said of a real place.
    fn place(&self, access: &Access, text: &str, real: &Path) -> Opinion {
        match self.restricted.reach(real, access.tree) {
            Reach::Nothing => {}
            Reach::Entry(entry) => {
                let inside = if access.tree { " or holds something that is" } else { "" };
                return deny(entry.clone(), format!("{text:?} is restricted{inside} ({entry})"));
            }
            Reach::TooMuch => {
                let reason = format!("there is too much in {text:?} to see whether something is restricted");
                return ask("too many files", reason);
            }
        }
        if self.territory.is_hidden(real, access.tree) {
            return deny(
                "hidden",
                format!("{text:?} is or holds something of the server or of another session"),
            );
        }
        if access.what == Use::Write && !self.territory.may_write(real) {
            let reason = format!(
                "{text:?} is outside the working directory; files are written in it, in added directories and in \
                 $TMPDIR"
            );
            return deny("outside", reason);
        }
        Opinion::abstain(NAME)
    }

    /// The restricted is denied under each reading of its name.
    fn taken_for(&self, base: &Path, text: &str, tree: bool) -> Opinion {
        let others = other_readings(text);
        let of_user = text.starts_with('~').then_some(text);
        for reading in others.iter().map(String::as_str).chain(of_user) {
            for home in &self.homes {
                let path = expand_home(reading, home, self.cwd).unwrap_or_else(|| reading.to_owned());
                let Ok(Real::Path(real)) = self.resolver.resolve(base, Path::new(&path), LastLink::Follow)
                else {
                    continue;
                };
                if let Reach::Entry(entry) = self.restricted.reach(&real, tree) {
                    return deny(
                        entry.clone(),
                        format!("{text:?} may be taken for a restricted path ({entry})"),
                    );
                }
            }
        }
        Opinion::abstain(NAME)
    }

    /// A pattern: what it could match of the restricted, and what it matches now that leads elsewhere.
    fn pattern(&mut self, access: &Access, base: Option<&Path>, pattern: &str) -> Opinion {
        let pattern = self.home_expanded(pattern);
        let (dir, rest) = split(&pattern);
        let dir = if dir.is_empty() { "." } else { &dir };
        let start = Access { tree: false, last: LastLink::Follow, links_to: None, ..access.clone() };
        // Naming what is in a restricted directory is reaching into it.
        let opinion = self.known(&start, base, dir);
        if opinion.verdict == Verdict::Deny {
            return opinion;
        }
        let base = base.unwrap_or(Path::new(""));
        let Ok(Real::Path(real)) = self.resolver.resolve(base, Path::new(dir), LastLink::Follow) else {
            return opinion;
        };
        if let Some(entry) = self.restricted.matched_by(&real, &rest, access.tree) {
            return deny(entry, format!("{pattern:?} may match a restricted path ({entry})"));
        }
        let mut left = MATCHES_MAX;
        let Some(links) = links(&real, &rest, &mut left) else {
            return opinion
                .or(ask("too many files", format!("{pattern:?} matches too many files to look at")));
        };
        let each = Access { links_to: None, ..access.clone() };
        links.iter().fold(opinion, |opinion, link| {
            opinion.or(self.known(&each, Some(Path::new("/")), &link.to_string_lossy()))
        })
    }

    /// A name of which only the beginning is known, or nothing.
    fn unknown(&mut self, access: &Access, base: Option<&Path>, unknown: &UnknownWord) -> Opinion {
        let written = &unknown.written;
        let is_write = access.what == Use::Write;
        let begun = self.home_expanded(&unknown.known_prefix);
        if begun.is_empty() {
            // Removing what a loop found is everyday; there the agent's own rules and the sandbox decide.
            return match is_write && access.last == LastLink::Follow {
                true => {
                    ask("unknown name", format!("where {written} is written cannot be known before it runs"))
                }
                false => Opinion::abstain(NAME),
            };
        }
        let (dir, name) = begun
            .rsplit_once('/')
            .map_or((".", begun.as_str()), |(dir, name)| (if dir.is_empty() { "/" } else { dir }, name));
        let start = Access { tree: false, last: LastLink::Follow, links_to: None, ..access.clone() };
        let opinion = self.known(&start, base, dir);
        let Ok(Real::Path(real)) =
            self.resolver.resolve(base.unwrap_or(Path::new("")), Path::new(dir), LastLink::Follow)
        else {
            return opinion;
        };
        let is_whole_way = begun.starts_with('/') && (access.what != Use::Mention || real != Path::new("/"));
        if is_whole_way && let Some(entry) = self.restricted.may_become(&real, name) {
            return opinion.or(ask(entry, format!("{written} may become a restricted path ({entry})")));
        }
        opinion
    }

    fn home_expanded(&self, text: &str) -> String {
        let home = self.homes.first().copied().unwrap_or(Path::new("/"));
        expand_home(text, home, self.cwd).unwrap_or_else(|| text.to_owned())
    }
}

/// The directory before the first part that has a pattern, as plain text, and the parts from there on.
fn split(pattern: &str) -> (String, Vec<String>) {
    let mut dir = vec![];
    let mut rest: Vec<String> = vec![];
    for part in pattern.split('/') {
        let is_plain = rest.is_empty() && !has_meta(part);
        if is_plain {
            dir.push(unescaped(part));
        } else if !part.is_empty() {
            rest.push(part.to_owned());
        }
    }
    let dir = if dir == [""] { "/".to_owned() } else { dir.join("/") };
    (dir, rest)
}

fn has_meta(part: &str) -> bool {
    let mut escaped = false;
    part.chars().any(|c| {
        let is_meta = !escaped && matches!(c, '*' | '?' | '[' | '{' | '(');
        escaped = !escaped && c == '\\';
        is_meta
    })
}

fn unescaped(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

/// What a pattern matches now that is a link, or has another name as well; `None` if there is too much to look at.
/// Everything else it matches is where its directory is.
fn links(dir: &Path, pattern: &[String], left: &mut usize) -> Option<Vec<PathBuf>> {
    use std::os::unix::fs::MetadataExt;
    let Some((part, rest)) = pattern.split_first() else { return Some(vec![]) };
    let matcher = super::restricted::part_matcher(part);
    let mut found = vec![];
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        *left = left.checked_sub(1)?;
        let name = entry.file_name();
        let Ok(kind) = entry.file_type() else { continue };
        if !matcher(&name.to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        let is_deep = part.contains("**");
        let has_names =
            || kind.is_file() && fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.nlink() > 1);
        // `**` goes through no link.
        let is_followed = kind.is_symlink() && (!is_deep || rest.is_empty());
        if is_followed || rest.is_empty() && has_names() {
            // The rest is looked for below the link's own place.
            found.push(rest.iter().fold(path, |path, part| path.join(part)));
        } else if kind.is_dir() && (!rest.is_empty() || is_deep) {
            found.extend(links(&path, rest, left)?);
            if is_deep {
                found.extend(links(&path, pattern, left)?);
            }
        }
    }
    Some(found)
}
