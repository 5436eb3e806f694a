//! A folder, one entry after the other: every folder before what is in it, and nothing outside of it.
//!
//! Each entry is opened by its name in a folder that is open already, and never through a link. So whoever puts a
//! link in the place of a folder meanwhile leads nobody out.

use super::{manifest::WhyLeftOut, name::Name};
use cap_std::fs::{Dir, DirEntry, File, Metadata, MetadataExt, OpenOptions, OpenOptionsExt, ReadDir};
use domain::ports::{ArchiveError, ArchiveRoot};
use ignore::gitignore::Gitignore;
use jiff::Timestamp;
use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

/// Each is a folder that is held open; a process may have about a thousand files open.
pub(super) const DEPTH_MAX: usize = 200;
/// On Linux: a pipe without a writer does not keep its reader waiting, and a link is an error.
const O_NONBLOCK: i32 = 0o4000;
const O_NOFOLLOW: i32 = 0o400_000;

/// What the walk has come to.
#[derive(Debug)]
pub(super) enum Found {
    Folder { path: Name, mode: u32, modified_at: Timestamp },
    File { path: Name, mode: u32, modified_at: Timestamp, size: u64, file: File },
    Link { path: Name, target: Name },
    LeftOut { path: Name, why: WhyLeftOut },
}

/// What a walk leaves out.
#[derive(Debug)]
pub(super) struct Excludes<'a> {
    pub(super) patterns: &'a Gitignore,
    pub(super) file_bytes_max: Option<u64>,
}

/// A walk in the making.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    root: &'a ArchiveRoot,
    excludes: Option<Excludes<'a>>,
    /// Before the first step.
    is_new: bool,
    levels: Vec<Level>,
}

/// A folder the walk is in.
#[derive(Debug)]
struct Level {
    path: Name,
    dir: Dir,
    entries: ReadDir,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a ArchiveRoot, excludes: Option<Excludes<'a>>) -> Self {
        Self { root, excludes, is_new: true, levels: Vec::new() }
    }

    /// The next entry; the root itself is the first.
    pub(super) fn next(&mut self) -> Result<Option<Found>, ArchiveError> {
        if std::mem::take(&mut self.is_new) {
            return self.begin().map(Some);
        }
        while let Some(level) = self.levels.last_mut() {
            match level.entries.next() {
                None => {
                    self.levels.pop();
                }
                Some(entry) => {
                    let folder = level.path.clone();
                    let entry = entry.map_err(|source| self.failed(&folder, source))?;
                    let path = folder.join(&entry.file_name());
                    return self.look(&entry, path).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn begin(&mut self) -> Result<Found, ArchiveError> {
        let path = Name(self.root.name.clone().into_bytes());
        let failed = |source| ArchiveError::Files { action: READ, path: self.root.folder.clone(), source };
        let opened = match &self.root.opened {
            Some(opened) => opened.try_clone().map(std::fs::File::from),
            None => trees::open_no_link(&self.root.folder),
        };
        let opened = opened.map_err(failed)?;
        if !opened.metadata().map_err(failed)?.is_dir() {
            return found_file(path, File::from_std(opened)).map_err(failed);
        }
        self.enter(path, Dir::from_std_file(opened))
    }

    fn look(&mut self, entry: &DirEntry, path: Name) -> Result<Found, ArchiveError> {
        let looked = self.look_at(entry, &path);
        match looked.map_err(|source| self.failed(&path, source))? {
            Looked::Found(found) => Ok(found),
            Looked::Folder(dir) => self.enter(path, dir),
        }
    }

    fn look_at(&self, entry: &DirEntry, path: &Name) -> io::Result<Looked> {
        let kind = trees::kind_of(entry)?;
        if self.is_excluded(path, kind.is_dir()) {
            return Ok(left_out(path, WhyLeftOut::Excluded));
        }
        if kind.is_dir() {
            return Ok(Looked::Folder(entry.open_dir()?));
        }
        if kind.is_symlink() {
            let Some(level) = self.levels.last() else { return Err(io::ErrorKind::NotFound.into()) };
            let target = level.dir.read_link_contents(entry.file_name())?;
            let target = Name(target.into_os_string().into_vec());
            return Ok(Looked::Found(Found::Link { path: path.clone(), target }));
        }
        if !kind.is_file() {
            return Ok(left_out(path, WhyLeftOut::NoFile));
        }
        let file = entry.open_with(OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_NOFOLLOW))?;
        let size_max = self.excludes.as_ref().and_then(|excludes| excludes.file_bytes_max);
        match found_file(path.clone(), file)? {
            Found::File { size, .. } if size_max.is_some_and(|max| size > max) => {
                Ok(left_out(path, WhyLeftOut::TooLarge))
            }
            found => Ok(Looked::Found(found)),
        }
    }

    fn enter(&mut self, path: Name, dir: Dir) -> Result<Found, ArchiveError> {
        if self.levels.len() == DEPTH_MAX {
            return Err(ArchiveError::TooLarge(format!("folders are nested deeper than {DEPTH_MAX}")));
        }
        let opened = dir.dir_metadata().and_then(|metadata| Ok((metadata, dir.entries()?)));
        let (metadata, entries) = opened.map_err(|source| self.failed(&path, source))?;
        self.levels.push(Level { path: path.clone(), dir, entries });
        Ok(Found::Folder { path, mode: mode(&metadata), modified_at: modified_at(&metadata) })
    }

    fn is_excluded(&self, path: &Name, is_folder: bool) -> bool {
        let Some(excludes) = &self.excludes else { return false };
        // Patterns are for paths below the root.
        let below = path.0.get(self.root.name.len() + 1..).unwrap_or_default();
        excludes.patterns.matched(Path::new(OsStr::from_bytes(below)), is_folder).is_ignore()
    }

    fn failed(&self, path: &Name, source: io::Error) -> ArchiveError {
        ArchiveError::Files { action: READ, path: self.on_disk(path), source }
    }

    /// Where it is outside of the archive.
    pub(super) fn on_disk(&self, path: &Name) -> PathBuf {
        let below = path.0.get(self.root.name.len() + 1..).unwrap_or_default();
        self.root.folder.join(OsStr::from_bytes(below))
    }
}

/// What is done to a file that cannot be archived.
pub(super) const READ: &str = "read";

enum Looked {
    Found(Found),
    Folder(Dir),
}

fn left_out(path: &Name, why: WhyLeftOut) -> Looked {
    Looked::Found(Found::LeftOut { path: path.clone(), why })
}

/// As it is now that it is open: what it was in the list of its folder may be gone.
fn found_file(path: Name, file: File) -> io::Result<Found> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Found::LeftOut { path, why: WhyLeftOut::NoFile });
    }
    let (mode, modified_at, size) = (mode(&metadata), modified_at(&metadata), metadata.len());
    Ok(Found::File { path, mode, modified_at, size, file })
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

/// Times that no calendar has are as good as none.
pub(super) fn modified_at(metadata: &Metadata) -> Timestamp {
    let nanoseconds = i32::try_from(metadata.mtime_nsec()).unwrap_or_default();
    Timestamp::new(metadata.mtime(), nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
