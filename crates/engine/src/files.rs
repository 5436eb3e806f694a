//! A session's working directory, read from outside: listed, one file at a time, or as one archive.
//!
//! The agent owns the directory and may plant links in it at any moment, so everything is opened relative to a handle
//! of the directory and never leaves it.

mod archive;

use crate::{Error, Result, SessionManager, workdir};
use cap_std::fs::{Dir, File, Metadata, OpenOptions, OpenOptionsExt};
use domain::{Caller, SessionId};
use jiff::Timestamp;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use archive::ByteStream;

use archive::Making;

/// Entries a listing shows at most.
pub const LISTED_FILES_MAX: usize = 10_000;
/// Working directories that are downloaded at once. Each has a thread for as long as its reader takes, and other work needs
/// threads too.
pub const DOWNLOADS_MAX: usize = 16;
/// Folders inside folders that are looked into.
const DEPTH_MAX: usize = 64;

/// One entry of a working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative to the working directory, with `/` between its parts.
    pub path: String,
    pub kind: FileKind,
    pub size_bytes: u64,
    pub modified_at: Option<Timestamp>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    File,
    Directory,
    Symlink,
    /// A socket, a pipe or a device.
    Other,
}

/// A listing, whole or cut at [`LISTED_FILES_MAX`] or in the depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub entries: Vec<FileEntry>,
    pub is_truncated: bool,
}

/// A regular file, opened.
#[derive(Debug)]
pub struct OpenFile {
    pub file: std::fs::File,
    pub size_bytes: u64,
}

impl SessionManager {
    /// Everything in the session's working directory, by path.
    pub async fn files(&self, caller: &Caller, id: SessionId) -> Result<Listing> {
        let root = self.working_directory(caller, id).await?;
        blocking("list the working directory", move || {
            let mut listing = Listing { entries: vec![], is_truncated: false };
            walk(&root, &mut |entry, opened| {
                let is_full = listing.entries.len() == LISTED_FILES_MAX;
                listing.is_truncated |= is_full || opened.is_too_deep;
                if !is_full {
                    listing.entries.push(entry);
                }
                Ok(!is_full)
            })?;
            listing.entries.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(listing)
        })
        .await
    }

    /// Opens one file of the working directory. A path that leads outside, by `..` or by a link, names no file.
    pub async fn open_file(&self, caller: &Caller, id: SessionId, path: String) -> Result<OpenFile> {
        let root = self.working_directory(caller, id).await?;
        let opened = blocking("read the file", move || {
            let file = open_regular(&root, Path::new(&path))?;
            let size_bytes = file.metadata()?.len();
            Ok(OpenFile { file: file.into_std(), size_bytes })
        })
        .await;
        match opened {
            Err(Error::Files { source, .. }) if names_nothing(&source) => Err(Error::NotFound("file")),
            other => other,
        }
    }

    /// The working directory as a gzipped tar archive, made while it is read, as one of so many at once.
    pub async fn archive_files(&self, caller: &Caller, id: SessionId) -> Result<ByteStream> {
        let root = self.working_directory(caller, id).await?;
        let inner = &self.inner;
        if inner.draining.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        let place = Arc::clone(&inner.downloads).try_acquire_owned();
        let place = place.map_err(|_| Error::DownloadsBusy(DOWNLOADS_MAX))?;
        let (tasks, runtime, draining) = (&inner.tasks, &inner.runtime, &inner.draining);
        Ok(archive::stream(Making { tasks, runtime, draining, place }, root))
    }

    async fn working_directory(&self, caller: &Caller, id: SessionId) -> Result<Dir> {
        let session = self.load(caller.scope(), id).await?;
        // Once it has no home, nobody has anything of it.
        if session.server_id.is_some() && self.has_files_elsewhere(&session) {
            return Err(Error::FilesElsewhere);
        }
        let directories = self.inner.settings.directories.clone();
        let opened = blocking("open the working directory", move || {
            workdir::open(&directories, session.user_id, Path::new(&session.spec.working_directory))
        })
        .await;
        match opened {
            Err(Error::Files { source, .. }) if names_nothing(&source) => {
                Err(Error::NotFound("working directory"))
            }
            other => other,
        }
    }
}

/// `PermissionDenied` is what leaving the directory gives. A loop of links and a socket that was to be opened have no
/// names in the standard library.
fn names_nothing(error: &io::Error) -> bool {
    const ENXIO: i32 = 6;
    const ELOOP: i32 = 40;
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::NotFound
            | K::PermissionDenied
            | K::InvalidInput
            | K::InvalidFilename
            | K::NotADirectory
            | K::IsADirectory
    ) || matches!(error.raw_os_error(), Some(ELOOP | ENXIO))
}

/// Opens a regular file and nothing else. Without `O_NONBLOCK` a pipe would keep the thread until somebody writes
/// into it, and looking before opening would leave the agent time to put one there.
fn open_regular(dir: &Dir, path: &Path) -> io::Result<File> {
    const O_NONBLOCK: i32 = 0o4000;
    let file = dir.open_with(path, OpenOptions::new().read(true).custom_flags(O_NONBLOCK))?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Shows every entry below `root` to `visit`, with the file opened where it is a regular one, until it says stop.
pub(super) fn walk(
    root: &Dir,
    visit: &mut dyn FnMut(FileEntry, Opened) -> io::Result<bool>,
) -> io::Result<()> {
    walk_below(root, "", 0, visit).map(|_| ())
}

/// What a walk gives beside an entry.
pub(super) struct Opened<'a> {
    dir: &'a Dir,
    name: std::ffi::OsString,
    pub metadata: Metadata,
    /// What is in this directory is not shown: it is nested deeper than [`DEPTH_MAX`].
    pub is_too_deep: bool,
}

impl Opened<'_> {
    /// Opens the regular file.
    pub fn file(&self) -> io::Result<File> {
        open_regular(self.dir, Path::new(&self.name))
    }

    /// Where the link points to.
    pub fn link(&self) -> io::Result<PathBuf> {
        self.dir.read_link_contents(&self.name)
    }
}

fn walk_below(
    dir: &Dir,
    prefix: &str,
    depth: usize,
    visit: &mut dyn FnMut(FileEntry, Opened) -> io::Result<bool>,
) -> io::Result<bool> {
    for entry in dir.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        // What vanished since the directory was read was not there.
        let metadata = match dir.symlink_metadata(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let path = format!("{prefix}{}", name.to_string_lossy());
        let kind = kind_of(&metadata);
        let modified_at = metadata.modified().ok().and_then(|at| Timestamp::try_from(at.into_std()).ok());
        let size_bytes = if kind == FileKind::File { metadata.len() } else { 0 };
        let shown = FileEntry { path: path.clone(), kind, size_bytes, modified_at };
        let is_too_deep = kind == FileKind::Directory && depth == DEPTH_MAX;
        if !visit(shown, Opened { dir, name: name.clone(), metadata, is_too_deep })? {
            return Ok(false);
        }
        if kind == FileKind::Directory && !is_too_deep {
            let below = match dir.open_dir(&name) {
                Err(error) if names_nothing(&error) => continue,
                other => other?,
            };
            if !walk_below(&below, &format!("{path}/"), depth + 1, visit)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn kind_of(metadata: &Metadata) -> FileKind {
    if metadata.is_symlink() {
        FileKind::Symlink
    } else if metadata.is_dir() {
        FileKind::Directory
    } else if metadata.is_file() {
        FileKind::File
    } else {
        FileKind::Other
    }
}

async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Internal("read the working directory"))?
        .map_err(|source| Error::Files { action, source })
}
