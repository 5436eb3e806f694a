//! Where a path leads on this machine, link by link, whether or not it exists yet.
//!
//! Not `canonicalize`: a file that is about to be written does not exist, `/proc/self` is the agent's and not ours, and
//! a command line may make the very link that its next command goes through.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
};

/// Links on the way to one file; Linux itself follows as many.
const LINKS_MAX: usize = 40;
/// Longest path that Linux takes, in bytes.
const PATH_BYTES_MAX: usize = 4096;

/// Whether a link at the very end is followed: reading and writing do, removing and renaming do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastLink {
    Follow,
    Keep,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Real {
    /// A file, a directory, or where one would be made. No part of it is a link, but perhaps the last.
    Path(PathBuf),
    /// Something the process has open already.
    Stream,
}

/// Why a path leads nowhere that can be known.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Astray {
    #[error("it contains a NUL")]
    Nul,
    #[error("it is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    #[error("it leads through more than {LINKS_MAX} links")]
    Loop,
    #[error("it leads through another process")]
    Process,
}

/// Follows paths for an agent whose shell is in `cwd`.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    cwd: PathBuf,
    /// Links that the command line itself makes, by where they will be.
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Resolver {
    pub(crate) fn new(cwd: &Path) -> Self {
        Self { cwd: cwd.to_owned(), links: BTreeMap::new() }
    }

    /// From now on there is a link at this real place.
    pub(crate) fn link(&mut self, at: PathBuf, to: PathBuf) {
        self.links.insert(at, to);
    }

    /// Where `path` leads, seen from `base` if it is relative.
    pub(crate) fn resolve(&self, base: &Path, path: &Path, last: LastLink) -> Result<Real, Astray> {
        let whole = self.cwd.join(base).join(path);
        let bytes = whole.as_os_str().as_encoded_bytes();
        if bytes.contains(&0) {
            return Err(Astray::Nul);
        }
        if bytes.len() > PATH_BYTES_MAX {
            return Err(Astray::TooLong);
        }
        // A slash or a dot at the end asks for the directory behind a link.
        let last = if bytes.ends_with(b"/") || bytes.ends_with(b"/.") { LastLink::Follow } else { last };
        let mut walk = Walk { real: PathBuf::from("/"), left: parts(&whole), links_left: LINKS_MAX };
        while let Some(part) = walk.left.pop_front() {
            if part == ".." {
                walk.real.pop();
                continue;
            }
            if let Some(process) = process(&walk.real) {
                if let Some(real) = self.within(&mut walk, process, part)? {
                    return Ok(real);
                }
                continue;
            }
            if walk.real == Path::new("/proc") && part == "thread-self" {
                // Which thread does not matter; that one is below the process does, for dots.
                walk.real.extend(["self", "task", "0"]);
                continue;
            }
            walk.real.push(&part);
            if walk.left.is_empty() && last == LastLink::Keep {
                break;
            }
            if process(&walk.real).is_some() {
                // `self` is a link to the process that asks: to us, if we followed it.
                continue;
            }
            if let Some(target) = self.target(&walk.real) {
                walk.links_left = walk.links_left.checked_sub(1).ok_or(Astray::Loop)?;
                walk.real.pop();
                walk.follow(&target);
            }
        }
        Ok(Real::Path(walk.real))
    }

    /// What the link at this place says; `None` if none is there. What cannot be looked at by us, cannot be by the
    /// agent, which is the same user.
    fn target(&self, place: &Path) -> Option<PathBuf> {
        let made = self.links.get(place).cloned();
        made.or_else(|| match fs::read_link(place) {
            Ok(target) => Some(target),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => None,
            Err(_) => None,
        })
    }

    /// Goes to `what` in the directory of a process, which links to more than names. Answers when that is the end of
    /// the way.
    fn within(&self, walk: &mut Walk, process: Process, what: OsString) -> Result<Option<Real>, Astray> {
        let name = what.to_string_lossy();
        let reaches_out = matches!(&*name, "root" | "cwd" | "fd" | "exe" | "map_files");
        let tells_secrets = matches!(&*name, "environ" | "mem" | "maps" | "smaps" | "fdinfo");
        match &*name {
            // Whose process it is cannot be known when it runs.
            _ if process == Process::Other && (reaches_out || tells_secrets) => Err(Astray::Process),
            "root" => {
                walk.real = PathBuf::from("/");
                Ok(None)
            }
            "cwd" => {
                let cwd = self.cwd.clone();
                walk.follow(&cwd);
                Ok(None)
            }
            "fd" if walk.left.len() <= 1 && walk.left.front().is_none_or(|part| part != "..") => {
                Ok(Some(Real::Stream))
            }
            "fd" | "map_files" => Err(Astray::Process),
            _ => {
                walk.real.push(&what);
                Ok(None)
            }
        }
    }
}

/// Whose directory in `/proc` it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    Own,
    Other,
}

/// The process whose directory this is, or whose thread's: `/proc/<process>` and `/proc/<process>/task/<thread>`.
fn process(real: &Path) -> Option<Process> {
    let mut parts = real.strip_prefix("/proc").ok()?.iter();
    let name = parts.next()?.to_str()?;
    let is_whole = match (parts.next(), parts.next()) {
        (None, _) => true,
        (Some(task), Some(_)) => task == "task" && parts.next().is_none(),
        (Some(_), None) => false,
    };
    match name {
        _ if !is_whole => None,
        "self" => Some(Process::Own),
        _ if name.bytes().all(|byte| byte.is_ascii_digit()) => Some(Process::Other),
        // `/proc/mounts` and the like link to the same below `self`.
        _ => None,
    }
}

/// On the way along a path.
struct Walk {
    /// Where we are; none of its parts is a link.
    real: PathBuf,
    left: VecDeque<OsString>,
    links_left: usize,
}

impl Walk {
    fn follow(&mut self, target: &Path) {
        if target.is_absolute() {
            self.real = PathBuf::from("/");
        }
        for part in parts(target).into_iter().rev() {
            self.left.push_front(part);
        }
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    /// Where `path` leads according to us, from a directory with files, directories and links.
    fn leads(at: &Path, path: &str) -> Result<Real, Astray> {
        Resolver::new(at).resolve(at, Path::new(path), LastLink::Follow)
    }

    fn maze() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/b/c")).unwrap();
        fs::create_dir_all(at("secret/deep")).unwrap();
        fs::write(at("secret/key"), "k").unwrap();
        fs::write(at("a/file"), "f").unwrap();
        for (target, link) in [
            ("../secret", "a/out"),
            ("b", "a/in"),
            ("in/c", "a/chain"),
            ("chain/../..", "a/back"),
            ("loop2", "a/loop1"),
            ("loop1", "a/loop2"),
            ("nowhere", "a/dangling"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        symlink(at("secret/key"), at("a/b/absolute")).unwrap();
        dir
    }

    #[test]
    fn what_does_not_exist_is_where_it_would_be_made() {
        let dir = maze();
        let real = dir.path().canonicalize().unwrap();
        let new = leads(&real, "a/out/new/file").unwrap();
        assert_eq!(new, Real::Path(real.join("secret/new/file")));
        assert_eq!(leads(&real, "a/dangling").unwrap(), Real::Path(real.join("a/nowhere")));
        assert_eq!(leads(&real, "a/loop1"), Err(Astray::Loop));
        assert_eq!(leads(&real, "a\0b"), Err(Astray::Nul));
    }

    #[test]
    fn the_agents_own_process_leads_where_the_agent_is() {
        let dir = maze();
        let real = dir.path().canonicalize().unwrap();
        let cases = [
            ("/proc/self/root/etc/hostname", "/etc/hostname".into()),
            ("/proc/self/task/12/root/etc", "/etc".into()),
            ("/proc/thread-self/cwd/secret", real.join("secret")),
            ("/proc/self/cwd/a/out", real.join("secret")),
            ("/proc/self/status", "/proc/self/status".into()),
            ("/proc/self/../../etc", "/etc".into()),
            ("/proc/self/net/../cwd/secret", real.join("secret")),
            ("/proc/self/task/12/../../cwd/secret", real.join("secret")),
            ("/proc/thread-self/../../root/etc", "/etc".into()),
            ("/proc/self/cwd/../x", real.parent().unwrap().join("x")),
        ];
        for (path, expected) in cases {
            assert_eq!(leads(&real, path), Ok(Real::Path(expected)), "{path}");
        }
        assert_eq!(leads(&real, "/dev/fd/3"), Ok(Real::Stream));
        assert_eq!(leads(&real, "/dev/stdin"), Ok(Real::Stream));
        for path in [
            "/proc/self/fd/../root",
            "/proc/1/net/../environ",
            "/proc/1/environ",
            "/proc/1/root/etc",
            "/proc/77/cwd",
            "/proc/77/fd/3",
            "/proc/1/task/1/mem",
        ] {
            assert_eq!(leads(&real, path), Err(Astray::Process), "{path}");
        }
    }

    #[test]
    fn a_link_that_the_line_makes_is_followed() {
        let dir = maze();
        let real = dir.path().canonicalize().unwrap();
        let mut resolver = Resolver::new(&real);
        resolver.link(real.join("a/new"), PathBuf::from("/etc"));
        let leads = resolver.resolve(&real, Path::new("a/new/hosts"), LastLink::Follow);
        assert_eq!(leads, Ok(Real::Path("/etc/hosts".into())));
        let kept = resolver.resolve(&real, Path::new("a/new"), LastLink::Keep);
        assert_eq!(kept, Ok(Real::Path(real.join("a/new"))));
    }

    proptest! {
        /// Where the kernel gets to, we get to.
        #[test]
        fn it_agrees_with_the_kernel(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "b", "c", "..", ".", "out", "in", "chain", "back", "secret", "deep", "key", "absolute", "file",
                ]),
                1..10,
            )
        ) {
            let dir = maze();
            let real = dir.path().canonicalize().unwrap();
            let path = parts.join("/");
            if let Ok(expected) = real.join(&path).canonicalize() {
                prop_assert_eq!(leads(&real, &path), Ok(Real::Path(expected)));
            }
        }

        /// The same in `/proc`, but for what there depends on who asks.
        #[test]
        fn it_agrees_with_the_kernel_about_processes(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "..", ".", "..", "proc", "self", "task", "net", "attr", "status", "root", "sys", "kernel", "etc",
                    "passwd",
                ]),
                1..10,
            )
        ) {
            let path = format!("/proc/self/{}", parts.join("/"));
            if let Ok(expected) = Path::new(&path).canonicalize() {
                let own = PathBuf::from(format!("/proc/{}", std::process::id()));
                let expected = expected
                    .strip_prefix(&own)
                    .map_or_else(|_| expected.clone(), |below| Path::new("/proc/self").join(below));
                let ours = leads(Path::new("/"), &path);
                // A slash that `join` puts at the end of an empty name makes no difference.
                prop_assert_eq!(ours, Ok(Real::Path(expected.components().collect())));
            }
        }
    }
}
