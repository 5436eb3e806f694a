//! Trees of files in which others have worked: opened, looked at and removed, whatever they have done to them.

mod removal;

pub use removal::{remove_in, remove_tree, sweep};

use cap_std::fs::{Dir, DirEntry, FileType, MetadataExt};
use std::{ffi::OsStr, fs::File, io, os::unix::fs::OpenOptionsExt, path::Path};

/// On Linux: a pipe without a writer does not keep its reader waiting, and a link is an error.
const O_NONBLOCK: i32 = 0o4000;
const O_NOFOLLOW: i32 = 0o400_000;

/// Opens what is at the path, unless that is a link.
pub fn open_no_link(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(O_NONBLOCK | O_NOFOLLOW).open(path)
}

/// Opens the folder of this name, unless that is a link by now.
pub fn open_folder(within: &Dir, name: &OsStr) -> io::Result<Dir> {
    let named = within.symlink_metadata(name)?;
    let folder = within.open_dir(name)?;
    let opened = folder.dir_metadata()?;
    // The same, so it did not become a link between the look and the opening. A flag would do, where the kernel is asked
    // for the whole path; where it cannot be, links are followed one by one and flags are not heeded.
    if !named.is_dir() || (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(folder)
}

/// What the entry is. Some file systems do not say so in their lists, and have to be asked for each.
pub fn kind_of(entry: &DirEntry) -> io::Result<FileType> {
    known(entry.file_type()?, || Ok(entry.metadata()?.file_type()))
}

fn known(listed: FileType, ask: impl FnOnce() -> io::Result<FileType>) -> io::Result<FileType> {
    if listed == FileType::unknown() { ask() } else { Ok(listed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_file_system_that_does_not_tell_kinds_is_asked() {
        let told = known(FileType::unknown(), || Ok(FileType::dir())).unwrap();
        assert!(told.is_dir());
        let told = known(FileType::file(), || Err(io::ErrorKind::Other.into())).unwrap();
        assert!(told.is_file(), "one that tells is believed");
        let failed = known(FileType::unknown(), || Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn no_link_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        symlink("folder", dir.path().join("link")).unwrap();
        let within = Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
        open_folder(&within, OsStr::new("folder")).unwrap();
        open_folder(&within, OsStr::new("link")).unwrap_err();
        open_no_link(&dir.path().join("folder")).unwrap();
        open_no_link(&dir.path().join("link")).unwrap_err();
    }
}
