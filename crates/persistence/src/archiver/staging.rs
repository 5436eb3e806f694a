//! A folder beside the target in which an archive is unpacked, so that the target appears whole or not at all.

use domain::ports::ArchiveError;
use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Is removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// Makes one, and removes what an attempt that was killed has left. The target must not be there, or be empty.
    pub(super) fn new(target: &Path) -> Result<Self, ArchiveError> {
        check_vacant(target)?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(failed("restore to", target, io::ErrorKind::InvalidInput.into()));
        };
        let mut prefix = OsString::from(".");
        prefix.push(name);
        prefix.push(".restoring-");
        fs::create_dir_all(parent).map_err(|source| failed("make", parent, source))?;
        sweep(parent, &prefix).map_err(|source| failed("clean up", parent, source))?;
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent);
        let folder = made.map_err(|source| failed("make a folder in", parent, source))?.keep();
        Ok(Self { folder, target: target.to_owned() })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes one of the things in it the target, in one step.
    pub(super) fn publish(self, name: &str) -> Result<(), ArchiveError> {
        fail::fail_point!("restore.before_rename");
        fs::rename(self.folder.join(name), &self.target)
            .map_err(|source| failed("put in place", &self.target, source))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "could not remove a half-restored folder");
        }
    }
}

fn check_vacant(target: &Path) -> Result<(), ArchiveError> {
    let is_vacant = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::symlink_metadata(target).is_err(),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => false,
        Err(error) => return Err(failed("look at", target, error)),
    };
    if is_vacant {
        Ok(())
    } else {
        Err(failed("restore to", target, io::ErrorKind::DirectoryNotEmpty.into()))
    }
}

fn sweep(parent: &Path, prefix: &OsString) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Folders that nobody may write to are common in caches of packages, and would keep what is in them.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            allow_removal(folder)?;
            fs::remove_dir_all(folder)
        }
        removed => removed,
    }
}

fn allow_removal(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            allow_removal(&entry.path())?;
        }
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Files { action, path: path.to_owned(), source }
}
