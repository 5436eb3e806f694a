//! Copying a working directory that an agent may be at work in: no link is followed, and what vanishes was not there.
//!
//! The kernel copies the content of files, and shares their blocks where the file system can: Linux' `copy_file_range`
//! tries that first, and the standard library copies with it. By handle, so that nobody can put a link in a file's place
//! in between, as a copy by path would let them.

use crate::Error;
use cap_std::{
    ambient_authority,
    fs::{Dir, File, Metadata, MetadataExt, OpenOptions, OpenOptionsExt, PermissionsExt},
};
use std::{
    collections::HashMap,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

/// Directories in directories; deeper ones are taken for a way of hiding something.
const DEPTH_MAX: usize = 100;
/// Without the bits that would make a program run as somebody else.
const MODE_KEPT: u32 = 0o777;

/// Why a directory was not copied.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCopied {
    #[error("the working directory holds more than {max} bytes")]
    TooLarge { max: u64 },
    #[error("the working directory has more than {DEPTH_MAX} directories in each other")]
    TooDeep,
    #[error("copy {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl From<NotCopied> for Error {
    fn from(error: NotCopied) -> Self {
        match error {
            NotCopied::TooLarge { .. } | NotCopied::TooDeep => Self::NotForkable(error.to_string()),
            NotCopied::Io { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                Self::NotForkable(format!(
                    "this server may not read {} in the working directory",
                    path.display()
                ))
            }
            NotCopied::Io { source, .. } => Self::Files { action: "copy the working directory", source },
        }
    }
}

/// Copies everything in `from` into `to`, which is made: files with their modes and times, links as they are, names of
/// one file as names of one file. Sockets, pipes and devices stay behind.
pub(super) fn copy(from: &Dir, to: &Path, bytes_max: Option<u64>) -> Result<(), NotCopied> {
    let failed = |source| NotCopied::Io { path: PathBuf::from("."), source };
    fs::create_dir(to).map_err(failed)?;
    let root = Dir::open_ambient_dir(to, ambient_authority()).map_err(failed)?;
    let mut copying = Copying { root, linked: HashMap::new(), bytes: 0, bytes_max };
    let to = copying.root.try_clone().map_err(failed)?;
    copying.directory(from, &to, Path::new(""), 0)
}

struct Copying {
    root: Dir,
    /// Where the copy of a file with several names is.
    linked: HashMap<(u64, u64), PathBuf>,
    bytes: u64,
    bytes_max: Option<u64>,
}

impl Copying {
    fn directory(&mut self, from: &Dir, to: &Dir, path: &Path, depth: usize) -> Result<(), NotCopied> {
        if depth > DEPTH_MAX {
            return Err(NotCopied::TooDeep);
        }
        let failed = |source| NotCopied::Io { path: path.to_owned(), source };
        for entry in from.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (name, path) = (entry.file_name(), path.join(entry.file_name()));
            let failed = |source| NotCopied::Io { path: path.clone(), source };
            let Some(metadata) = unless_gone(from.symlink_metadata(&name)).map_err(failed)? else { continue };
            self.take(metadata.len())?;
            if metadata.is_symlink() {
                let Some(target) = unless_gone(from.read_link_contents(&name)).map_err(failed)? else {
                    continue;
                };
                to.symlink_contents(target, &name).map_err(failed)?;
            } else if metadata.is_dir() {
                let Some(below) = unless_gone(from.open_dir(&name)).map_err(failed)? else { continue };
                to.create_dir(&name).map_err(failed)?;
                let copy = to.open_dir(&name).map_err(failed)?;
                self.directory(&below, &copy, &path, depth + 1)?;
                // After what is in it, which would change its time, or be refused by its mode. The handle to work in is
                // none to change the directory by.
                let copy = to.open(&name).map_err(failed)?.into_std();
                keep(&copy, &metadata).map_err(failed)?;
            } else if metadata.is_file() {
                self.file(from, to, &path, &metadata)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &Dir, to: &Dir, path: &Path, metadata: &Metadata) -> Result<(), NotCopied> {
        let failed = |source| NotCopied::Io { path: path.to_owned(), source };
        let name = path.file_name().unwrap_or_default();
        let identity = (metadata.dev(), metadata.ino());
        if let Some(first) = self.linked.get(&identity) {
            return self.root.hard_link(first, to, name).map_err(failed);
        }
        let Some(source) = unless_gone(open_regular(from, Path::new(name))).map_err(failed)? else {
            return Ok(());
        };
        let mut create = OpenOptions::new();
        let copy =
            to.open_with(name, create.write(true).create_new(true).mode(0o600)).map_err(failed)?.into_std();
        // It may grow while it is copied.
        let room = self.bytes_max.map_or(u64::MAX, |max| max.saturating_sub(self.bytes - metadata.len()));
        let copied =
            io::copy(&mut source.into_std().take(room.saturating_add(1)), &mut &copy).map_err(failed)?;
        self.take(copied.saturating_sub(metadata.len()))?;
        keep(&copy, metadata).map_err(failed)?;
        if metadata.nlink() > 1 {
            self.linked.insert(identity, path.to_owned());
        }
        Ok(())
    }

    fn take(&mut self, bytes: u64) -> Result<(), NotCopied> {
        self.bytes = self.bytes.saturating_add(bytes);
        match self.bytes_max {
            Some(max) if self.bytes > max => Err(NotCopied::TooLarge { max }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Opens a regular file and nothing else: without `O_NONBLOCK` a pipe that took its place would keep this thread.
fn open_regular(dir: &Dir, name: &Path) -> io::Result<File> {
    const O_NONBLOCK: i32 = 0o4000;
    let file = dir.open_with(name, OpenOptions::new().read(true).custom_flags(O_NONBLOCK))?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Gives the copy the mode and the times of the original.
fn keep(copy: &fs::File, original: &Metadata) -> io::Result<()> {
    let mode = original.permissions().mode() & MODE_KEPT;
    copy.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    let modified = original.modified()?.into_std();
    copy.set_times(fs::FileTimes::new().set_modified(modified).set_accessed(modified))
}

fn unless_gone<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        os::unix::{
            fs::{MetadataExt as _, PermissionsExt as _, symlink},
            net::UnixListener,
        },
        time::{Duration, SystemTime},
    };

    fn opened(path: &Path) -> Dir {
        Dir::open_ambient_dir(path, ambient_authority()).unwrap()
    }

    #[test]
    fn a_copy_is_what_the_original_was() {
        let (from, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |path: &str| from.path().join(path);
        fs::create_dir_all(at("locked/deep")).unwrap();
        fs::write(at("locked/deep/file"), "content").unwrap();
        fs::write(at("run.sh"), "#!/bin/sh").unwrap();
        fs::write(at("empty"), "").unwrap();
        fs::set_permissions(at("run.sh"), fs::Permissions::from_mode(0o4750)).unwrap();
        fs::hard_link(at("run.sh"), at("locked/again")).unwrap();
        fs::write(elsewhere.path().join("secret"), "secret").unwrap();
        symlink(elsewhere.path().join("secret"), at("out")).unwrap();
        symlink("locked", at("in")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
        for path in ["run.sh", "locked"] {
            fs::File::open(at(path)).unwrap().set_modified(long_ago).unwrap();
        }
        fs::set_permissions(at("locked"), fs::Permissions::from_mode(0o500)).unwrap();

        let room = tempfile::tempdir().unwrap();
        let to = room.path().join("copy");
        copy(&opened(from.path()), &to, Some(1 << 20)).unwrap();
        let copied = |path: &str| fs::symlink_metadata(to.join(path)).unwrap();
        assert_eq!(fs::read_to_string(to.join("locked/deep/file")).unwrap(), "content");
        assert_eq!(fs::read_to_string(to.join("empty")).unwrap(), "");
        assert_eq!(copied("run.sh").mode() & 0o7777, 0o750, "as it was, but as nobody else");
        assert_eq!(copied("locked").mode() & 0o7777, 0o500);
        assert_eq!(copied("run.sh").modified().unwrap(), long_ago);
        assert_eq!(copied("locked").modified().unwrap(), long_ago);
        assert_eq!(copied("run.sh").ino(), copied("locked/again").ino());
        assert_ne!(copied("run.sh").ino(), fs::metadata(at("run.sh")).unwrap().ino());
        assert_eq!(
            fs::read_link(to.join("out")).unwrap(),
            elsewhere.path().join("secret"),
            "a link, not a file"
        );
        assert_eq!(fs::read_link(to.join("in")).unwrap(), Path::new("locked"));
        assert_eq!(fs::read_link(to.join("dangling")).unwrap(), Path::new("nowhere"));
        assert!(!to.join("socket").exists());
        for root in [from.path(), &to] {
            fs::set_permissions(root.join("locked"), fs::Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_not_copied() {
        let (from, room) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("file"), vec![7; 4096]).unwrap();
        let try_with = |name: &str, max| copy(&opened(from.path()), &room.path().join(name), max);
        assert!(matches!(try_with("a", Some(4095)), Err(NotCopied::TooLarge { max: 4095 })));
        try_with("b", Some(4096)).unwrap();
        fs::create_dir_all(from.path().join("d/".repeat(DEPTH_MAX + 1))).unwrap();
        assert!(matches!(try_with("c", None), Err(NotCopied::TooDeep)));
    }
}
