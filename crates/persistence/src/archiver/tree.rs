//! A tree of files that is being written, entry by entry, below a folder that is open.
//!
//! Each entry is made by its own name in a folder that this tree has made and holds open. No path is ever resolved,
//! so none leads out: not by `..`, not by a link that came before.

use super::{name::Name, place::Digested, walk::DEPTH_MAX};
use cap_std::fs::{Dir, DirBuilder, File, OpenOptions, Permissions, PermissionsExt};
use domain::ports::ArchiveError;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{
    ffi::{OsStr, OsString},
    fs::FileTimes,
    io::{self, Read, Write},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    time::SystemTime,
};

const BUFFER_BYTES: usize = 64 * 1024;
/// Who may do what; not whose rights a program takes on, because whose file it was is not kept.
const MODE_KEPT: u32 = 0o777;

/// A tree in the making.
#[derive(Debug)]
pub(super) struct Tree {
    base: Dir,
    /// For errors.
    place: PathBuf,
    /// The folders that lead to where the last entry was made.
    levels: Vec<Level>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Level {
    name: OsString,
    dir: Dir,
    mode: u32,
    modified_at: Timestamp,
}

impl Tree {
    pub(super) fn new(base: Dir, place: PathBuf) -> Self {
        Self { base, place, levels: Vec::new(), buffer: vec![0; BUFFER_BYTES] }
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
        let parent = self.here();
        // Only ours until all is in it.
        let mut ours = DirBuilder::new();
        cap_std::fs::DirBuilderExt::mode(&mut ours, 0o700);
        let made = parent.create_dir_with(&name, &ours).and_then(|()| parent.open_dir(&name));
        let dir = made.map_err(|source| self.not_made(path, source))?;
        self.levels.push(Level { name, dir, mode, modified_at });
        Ok(())
    }

    pub(super) fn link(&mut self, path: &Name, target: &Name) -> Result<(), ArchiveError> {
        let name = self.go_to_folder_of(path)?;
        let made = self.here().symlink_contents(OsStr::from_bytes(&target.0), &name);
        made.map_err(|source| self.not_made(path, source))
    }

    /// Writes what comes out of `content`, whose errors are the inner ones.
    pub(super) fn file(
        &mut self,
        path: &Name,
        mode: u32,
        modified_at: Timestamp,
        content: &mut dyn Read,
    ) -> Result<io::Result<Digested>, ArchiveError> {
        let name = self.go_to_folder_of(path)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let opened = self.here().open_with(&name, &options);
        let mut file = opened.map_err(|source| self.not_made(path, source))?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = copy(content, &mut file, &mut buffer);
        self.buffer = buffer;
        let content = match written.map_err(|source| self.not_made(path, source))? {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        let finished = finish(file, mode, modified_at);
        finished.map_err(|source| self.not_made(path, source))?;
        Ok(Ok(content))
    }

    /// Gives the folders that are still open their modes and times.
    pub(super) fn close(mut self) -> Result<(), ArchiveError> {
        while !self.levels.is_empty() {
            self.leave()?;
        }
        Ok(())
    }

    /// Leaves folders until the path's own is the last, which must have been made before. Gives the path's last name.
    fn go_to_folder_of(&mut self, path: &Name) -> Result<OsString, ArchiveError> {
        let parts = path.parts().map_err(|why| ArchiveError::Hostile(format!("{path} {why}")))?;
        let Some((name, folders)) = parts.split_last() else {
            return Err(ArchiveError::Hostile("an entry has no name".to_owned()));
        };
        let is_prefix = |levels: &[Level]| {
            levels.len() <= folders.len()
                && levels.iter().zip(folders).all(|(level, name)| level.name == *name)
        };
        while !is_prefix(&self.levels) {
            self.leave()?;
        }
        if self.levels.len() == folders.len() {
            Ok((*name).to_owned())
        } else {
            Err(ArchiveError::Hostile(format!("{path} is in no folder of the archive")))
        }
    }

    fn leave(&mut self) -> Result<(), ArchiveError> {
        let Some(Level { name, mode, modified_at, .. }) = self.levels.pop() else { return Ok(()) };
        // What a folder is held by serves to find things in it and for nothing else.
        let finished = self.here().open(&name).and_then(|folder| finish(folder, mode, modified_at));
        finished.map_err(|source| ArchiveError::Files { action: MAKE, path: self.path(&name), source })
    }

    fn here(&self) -> &Dir {
        self.levels.last().map_or(&self.base, |level| &level.dir)
    }

    fn not_made(&self, path: &Name, source: io::Error) -> ArchiveError {
        if source.kind() == io::ErrorKind::AlreadyExists {
            return ArchiveError::Hostile(format!("{path} is in the archive twice"));
        }
        let name = path.parts().ok().and_then(|parts| parts.last().copied()).unwrap_or_default();
        ArchiveError::Files { action: MAKE, path: self.path(name), source }
    }

    fn path(&self, name: &OsStr) -> PathBuf {
        self.levels.iter().fold(self.place.clone(), |path, level| path.join(&level.name)).join(name)
    }
}

const MAKE: &str = "make";

/// Reads all of a file's content without keeping it.
pub(super) fn digest(content: &mut dyn Read) -> io::Result<Digested> {
    copy(content, &mut io::sink(), &mut vec![0; BUFFER_BYTES]).unwrap_or_else(Err)
}

/// The outer error is the writer's, the inner one the reader's.
fn copy(content: &mut dyn Read, out: &mut dyn Write, buffer: &mut [u8]) -> io::Result<io::Result<Digested>> {
    let (mut hasher, mut size) = (Sha256::new(), 0);
    loop {
        let read = match content.read(buffer) {
            Ok(0) => return Ok(Ok(Digested { size, sha256: hasher.finalize().into() })),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(error)),
        };
        hasher.update(&buffer[..read]);
        size += read as u64;
        out.write_all(&buffer[..read])?;
    }
}

/// The mode comes last: it may forbid the rest.
fn finish(file: File, mode: u32, modified_at: Timestamp) -> io::Result<()> {
    let file = file.into_std();
    file.set_times(FileTimes::new().set_modified(SystemTime::from(modified_at)))?;
    let permissions = Permissions::from_mode(mode & MODE_KEPT);
    File::from_std(file).set_permissions(permissions)
}
