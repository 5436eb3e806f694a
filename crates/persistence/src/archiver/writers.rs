//! Threads that write files while the next ones are unpacked.
//!
//! Files are independent of each other, so each goes to whichever thread is free. A folder is held by all that is
//! still to be made in it; who lets go of it last gives it its mode and time.

use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt};
use domain::ports::ArchiveError;
use jiff::Timestamp;
use std::{
    ffi::{OsStr, OsString},
    fs::FileTimes,
    io::{self, Write},
    num::NonZero,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::SystemTime,
};

/// Files that wait for a thread. Each has a piece in memory at most, and may hold folders open.
const FILES_WAITING_MAX: usize = 16;
/// Who may do what; not whose rights a program takes on, because whose file it was is not kept.
const MODE_KEPT: u32 = 0o777;
const MAKE: &str = "make";

/// Writes files on several threads.
#[derive(Debug)]
pub(super) struct Writers {
    files: Option<SyncSender<NewFile>>,
    threads: Vec<JoinHandle<Result<(), ArchiveError>>>,
    count: NonZero<usize>,
}

/// A file that is to be made.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) folder: Arc<Folder>,
    pub(super) name: OsString,
    pub(super) mode: u32,
    pub(super) modified_at: Timestamp,
    pub(super) first: Vec<u8>,
    /// What comes after the first piece, for a large file.
    pub(super) rest: Option<Receiver<Vec<u8>>>,
}

/// A folder that this restore has made, and what it is to be like when all is in it.
#[derive(Debug)]
pub(super) struct Folder {
    /// The first has none, is somebody else's and stays as it is.
    pub(super) parent: Option<Arc<Folder>>,
    pub(super) name: OsString,
    pub(super) dir: Dir,
    pub(super) mode: u32,
    pub(super) modified_at: Timestamp,
    /// One for each folder that is open.
    pub(super) open: Arc<()>,
}

impl Writers {
    pub(super) fn new(count: NonZero<usize>) -> Self {
        Self { files: None, threads: Vec::new(), count }
    }

    /// Gives a file to whoever is free next. An error may be another file's.
    pub(super) fn write(&mut self, file: NewFile) -> Result<(), ArchiveError> {
        // One that has ended has failed; the others would go on for nothing.
        if self.threads.iter().any(JoinHandle::is_finished) {
            return Err(self.failed());
        }
        if self.files.is_none() {
            self.files = Some(self.start().map_err(|error| ArchiveError::Failed(Box::new(error)))?);
        }
        match self.files.as_ref().map(|files| files.send(file)) {
            Some(Ok(())) => Ok(()),
            _ => Err(self.failed()),
        }
    }

    /// Waits until all that was given is written.
    pub(super) fn wait(&mut self) -> Result<(), ArchiveError> {
        self.files = None;
        // All have to end, also when one has failed: what they write is removed then.
        let ended: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        ended.into_iter().try_for_each(|ended| {
            ended.unwrap_or_else(|_| Err(ArchiveError::Failed("a thread that writes has ended".into())))
        })
    }

    /// Why nobody takes anything any more.
    pub(super) fn failed(&mut self) -> ArchiveError {
        let ended = self.wait();
        ended.err().unwrap_or_else(|| ArchiveError::Failed("nobody writes any more".into()))
    }

    fn start(&mut self) -> io::Result<SyncSender<NewFile>> {
        let (sender, files) = sync_channel::<NewFile>(FILES_WAITING_MAX);
        let files = Arc::new(Mutex::new(files));
        for _ in 0..self.count.get() {
            let files = Arc::clone(&files);
            let work = move || {
                loop {
                    let next = files.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(file) = next else { return Ok(()) };
                    file.write()?;
                }
            };
            self.threads.push(thread::Builder::new().name("restore".to_owned()).spawn(work)?);
        }
        Ok(sender)
    }
}

impl Drop for Writers {
    /// Nobody may write any more when the folder is removed.
    fn drop(&mut self) {
        // Whoever drops them early has an error of its own.
        let _ = self.wait();
    }
}

impl NewFile {
    fn write(self) -> Result<(), ArchiveError> {
        let Self { folder, name, mode, modified_at, first, rest } = self;
        let write = || {
            let mut options = OpenOptions::new();
            // Only ours until all is in it.
            options.write(true).create_new(true).mode(0o600);
            let mut file = folder.dir.open_with(&name, &options)?;
            file.write_all(&first)?;
            drop(first);
            for piece in rest.into_iter().flatten() {
                file.write_all(&piece)?;
            }
            finish(file, mode, modified_at)
        };
        write().map_err(|source| folder.not_made(&name, source))?;
        release(folder)
    }
}

impl Folder {
    pub(super) fn not_made(&self, name: &OsStr, source: io::Error) -> ArchiveError {
        let path = self.path().join(name);
        if source.kind() == io::ErrorKind::AlreadyExists {
            return ArchiveError::Hostile(format!("{} is in the archive twice", path.display()));
        }
        ArchiveError::Files { action: MAKE, path, source }
    }

    fn path(&self) -> PathBuf {
        match &self.parent {
            None => PathBuf::from(&self.name),
            Some(parent) => parent.path().join(&self.name),
        }
    }
}

/// Lets go of a folder, and finishes it if nobody else has it: nothing is made in it any more then.
pub(super) fn release(mut folder: Arc<Folder>) -> Result<(), ArchiveError> {
    while let Some(Folder { parent: Some(parent), name, mode, modified_at, .. }) = Arc::into_inner(folder) {
        // What a folder is held by serves to find things in it and for nothing else.
        let finished = parent.dir.open(&name).and_then(|folder| finish(folder, mode, modified_at));
        finished.map_err(|source| parent.not_made(&name, source))?;
        folder = parent;
    }
    Ok(())
}

/// The mode comes last: it may forbid the rest.
fn finish(file: File, mode: u32, modified_at: Timestamp) -> io::Result<()> {
    let file = file.into_std();
    file.set_times(FileTimes::new().set_modified(SystemTime::from(modified_at)))?;
    let permissions = Permissions::from_mode(mode & MODE_KEPT);
    File::from_std(file).set_permissions(permissions)
}
