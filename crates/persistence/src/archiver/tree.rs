//! A tree of files that is being written, entry by entry, below a folder that is open.
//!
//! Each entry is made by its own name in a folder that this tree has made and holds open. No path is ever resolved,
//! so none leads out: not by `..`, not by a link that came before. Folders and links are made at once; files are read
//! and hashed here and written by others, who may be some files behind.

use super::{
    name::Name,
    place::Digested,
    walk::DEPTH_MAX,
    writers::{Folder, NewFile, Writers, release},
};
use cap_std::fs::{Dir, DirBuilder};
use domain::ports::ArchiveError;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{
    ffi::{OsStr, OsString},
    io::{self, Read},
    num::NonZero,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::{Arc, mpsc::sync_channel},
};

const BUFFER_BYTES: usize = 64 * 1024;
/// Of a file; most are smaller and are one piece.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES_WAITING_MAX: usize = 4;
/// A process may have about a thousand files open, and files that wait hold their folders.
const FOLDERS_OPEN_MAX: usize = 2 * DEPTH_MAX;

/// A tree in the making.
#[derive(Debug)]
pub(super) struct Tree {
    /// The one that everything is in, and after it the folders that lead to where the last entry was made.
    base: Arc<Folder>,
    levels: Vec<Arc<Folder>>,
    writers: Writers,
}

impl Tree {
    /// `place` is where `base` is, for errors.
    pub(super) fn new(base: Dir, place: PathBuf, threads: NonZero<usize>) -> Self {
        let base = Folder {
            parent: None,
            name: place.into_os_string(),
            dir: base,
            mode: 0o700,
            modified_at: Timestamp::UNIX_EPOCH,
            open: Arc::new(()),
        };
        Self { base: Arc::new(base), levels: Vec::new(), writers: Writers::new(threads) }
    }

    pub(super) fn folder(
        &mut self,
        path: &Name,
        mode: u32,
        modified_at: Timestamp,
    ) -> Result<(), ArchiveError> {
        let name = self.go_to_folder_of(path)?;
        if self.levels.len() == DEPTH_MAX {
            return Err(ArchiveError::TooLarge(format!("folders are nested deeper than {DEPTH_MAX}")));
        }
        if Arc::strong_count(&self.base.open) > FOLDERS_OPEN_MAX {
            self.writers.wait()?;
        }
        let parent = Arc::clone(self.here());
        // Only ours until all is in it.
        let mut ours = DirBuilder::new();
        cap_std::fs::DirBuilderExt::mode(&mut ours, 0o700);
        let made = parent.dir.create_dir_with(&name, &ours).and_then(|()| parent.dir.open_dir(&name));
        let dir = made.map_err(|source| parent.not_made(&name, source))?;
        let open = Arc::clone(&parent.open);
        self.levels.push(Arc::new(Folder { parent: Some(parent), name, dir, mode, modified_at, open }));
        Ok(())
    }

    pub(super) fn link(&mut self, path: &Name, target: &Name) -> Result<(), ArchiveError> {
        let name = self.go_to_folder_of(path)?;
        let made = self.here().dir.symlink_contents(OsStr::from_bytes(&target.0), &name);
        made.map_err(|source| self.here().not_made(&name, source))
    }

    /// Has a file of about this size written out of `content`, whose errors are the inner ones.
    pub(super) fn file(
        &mut self,
        path: &Name,
        mode: u32,
        modified_at: Timestamp,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<io::Result<Digested>, ArchiveError> {
        let name = self.go_to_folder_of(path)?;
        let folder = Arc::clone(self.here());
        let mut content = Hashed { content, hasher: Sha256::new(), size: 0 };
        let first = match content.piece(size) {
            Ok(first) => first,
            Err(error) => return Ok(Err(error)),
        };
        if first.len() < PIECE_BYTES {
            self.writers.write(NewFile { folder, name, mode, modified_at, first, rest: None })?;
            return Ok(Ok(content.finish()));
        }
        let (pieces, rest) = sync_channel(PIECES_WAITING_MAX);
        self.writers.write(NewFile { folder, name, mode, modified_at, first, rest: Some(rest) })?;
        loop {
            match content.piece(size) {
                Ok(piece) if piece.is_empty() => return Ok(Ok(content.finish())),
                Ok(piece) => {
                    if pieces.send(piece).is_err() {
                        return Err(self.writers.failed());
                    }
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Waits until all is written and has its mode and time.
    pub(super) fn close(mut self) -> Result<(), ArchiveError> {
        while let Some(folder) = self.levels.pop() {
            release(folder)?;
        }
        self.writers.wait()
    }

    /// Leaves folders until the path's own is the last, which must have been made before. Gives the path's last name.
    fn go_to_folder_of(&mut self, path: &Name) -> Result<OsString, ArchiveError> {
        let parts = path.parts().map_err(|why| ArchiveError::Hostile(format!("{path} {why}")))?;
        let Some((name, folders)) = parts.split_last() else {
            return Err(ArchiveError::Hostile("an entry has no name".to_owned()));
        };
        let is_prefix = |levels: &[Arc<Folder>]| {
            levels.len() <= folders.len()
                && levels.iter().zip(folders).all(|(level, name)| level.name == *name)
        };
        while !is_prefix(&self.levels)
            && let Some(folder) = self.levels.pop()
        {
            release(folder)?;
        }
        if self.levels.len() == folders.len() {
            Ok((*name).to_owned())
        } else {
            Err(ArchiveError::Hostile(format!("{path} is in no folder of the archive")))
        }
    }

    fn here(&self) -> &Arc<Folder> {
        self.levels.last().unwrap_or(&self.base)
    }
}

/// What is read out of it is hashed.
struct Hashed<'a> {
    content: &'a mut dyn Read,
    hasher: Sha256,
    size: u64,
}

impl Hashed<'_> {
    /// The next bytes; fewer than there are in a piece only at the end.
    fn piece(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let left = usize::try_from(size.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let mut piece = Vec::with_capacity(left.min(PIECE_BYTES));
        self.content.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        self.hasher.update(&piece);
        self.size += piece.len() as u64;
        Ok(piece)
    }

    fn finish(self) -> Digested {
        Digested { size: self.size, sha256: self.hasher.finalize().into() }
    }
}

/// Reads all of a file's content without keeping it.
pub(super) fn digest(content: &mut dyn Read) -> io::Result<Digested> {
    let (mut hasher, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(Digested { size, sha256: hasher.finalize().into() }),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
