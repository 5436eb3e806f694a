//! A folder beside the target in which an archive is unpacked, so that the target appears whole or not at all.
//!
//! Others may work in the folder above, and put a link in the place of anything: so that one is held open, and what is
//! in it is opened by its name and never through a link.

use cap_std::{
    ambient_authority,
    fs::{Dir, DirBuilder, DirBuilderExt},
};
use domain::ports::{ArchiveError, ArchiveTarget};
use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

/// Nobody else looks into what is half-restored.
const PRIVATE: u32 = 0o700;

/// Is removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(super) struct Staging {
    above: Dir,
    name: OsString,
    folder: Dir,
    target: PathBuf,
    target_name: OsString,
}

impl Staging {
    /// Makes one, and removes what an attempt that was killed has left. The target must not be there, or be empty.
    pub(super) fn new(target: &ArchiveTarget) -> Result<Self, ArchiveError> {
        let path = &target.folder;
        let (Some(parent), Some(target_name)) = (path.parent(), path.file_name()) else {
            return Err(failed("restore to", path, io::ErrorKind::InvalidInput.into()));
        };
        let above = match &target.above {
            Some(above) => above.try_clone().map(|above| Dir::from_std_file(above.into())),
            None => {
                fs::create_dir_all(parent).and_then(|()| Dir::open_ambient_dir(parent, ambient_authority()))
            }
        };
        let above = above.map_err(|source| failed("make", parent, source))?;
        if !is_vacant(&above, target_name).map_err(|source| failed("look at", path, source))? {
            return Err(failed("restore to", path, io::ErrorKind::DirectoryNotEmpty.into()));
        }
        let mut name = OsString::from(".");
        name.push(target_name);
        name.push(".restoring-");
        let is_left = |left: &OsStr| left.as_encoded_bytes().starts_with(name.as_encoded_bytes());
        trees::sweep(&above, is_left).map_err(|source| failed("clean up", parent, source))?;
        name.push(format!("{:016x}", rand::random::<u64>()));
        let made = above
            .create_dir_with(&name, DirBuilder::new().mode(PRIVATE))
            .and_then(|()| trees::open_folder(&above, &name));
        let folder = made.map_err(|source| failed("make a folder in", parent, source))?;
        let (target, target_name) = (path.clone(), target_name.to_owned());
        Ok(Self { above, name, folder, target, target_name })
    }

    /// The folder, opened once more.
    pub(super) fn folder(&self) -> Result<Dir, ArchiveError> {
        self.folder.try_clone().map_err(|source| failed("open", &self.path(), source))
    }

    /// Where it is, for errors.
    pub(super) fn path(&self) -> PathBuf {
        self.target.with_file_name(&self.name)
    }

    /// Makes one of the things in it the target, in one step.
    pub(super) fn publish(self, name: &str) -> Result<(), ArchiveError> {
        fail::fail_point!("restore.before_rename");
        self.folder
            .rename(name, &self.above, &self.target_name)
            .map_err(|source| failed("put in place", &self.target, source))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = trees::remove_in(&self.above, &self.name) {
            tracing::warn!(folder = %self.path().display(), %error, "could not remove a half-restored folder");
        }
    }
}

fn is_vacant(above: &Dir, name: &OsStr) -> io::Result<bool> {
    match above.symlink_metadata(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Ok(metadata) if metadata.is_dir() => Ok(trees::open_folder(above, name)?.entries()?.next().is_none()),
        other => other.map(|_| false),
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Files { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever works beside the target can make this; removed by a function that calls itself it would end the server.
    #[test]
    fn what_is_left_over_may_be_as_deep_as_it_likes() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(".target.restoring-left");
        fs::create_dir(&left).unwrap();
        let mut deepest = Dir::open_ambient_dir(&left, ambient_authority()).unwrap();
        for _ in 0..20_000 {
            deepest.create_dir("d").unwrap();
            deepest = deepest.open_dir("d").unwrap();
        }
        let staging = Staging::new(&dir.path().join("target").into()).unwrap();
        assert!(!left.exists());
        drop(staging);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_no_place_to_restore_to() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join("target")).unwrap();
        Staging::new(&dir.path().join("target").into()).unwrap_err();
    }
}
