//! The data folder: made, locked, and divided into the folders that sessions need.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use domain::ServerId;
use engine::DirectorySettings;
use sha2::{Digest, Sha256};

/// Unix sockets may have paths of 107 bytes; the agent's own part takes up to 45 of them.
const TEMPORARY_PATH_BYTES_MAX: usize = 60;
/// How long the lock of a server that was killed may outlive it: a process that it was just starting has the lock too,
/// until it becomes the program it is to be.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_INTERVAL: Duration = Duration::from_millis(10);
/// Only the server's own user may look into its folders: they hold conversations.
const PRIVATE: u32 = 0o700;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It could not be made or opened.
    #[error("use the data folder {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Two servers on one folder would run each other's sessions.
    #[error("use the data folder {}: another server is using it", .0.display())]
    InUse(PathBuf),
    /// What is in the file is no id; to make a new one up would leave the sessions of the old one to nobody.
    #[error("read the id of this server in {}: put back what was there, or remove it to begin as a new server", .0.display())]
    BadServerId(PathBuf),
    /// Somebody else made the folder for temporary files first.
    #[error("use the folder {} for temporary files: it belongs to somebody else", .0.display())]
    NotOurs(PathBuf),
    /// Agents write in shared directories, and the data folder holds what they must not even read.
    #[error("share {} with agents: it contains the data folder or lies in it", .0.display())]
    Shared(PathBuf),
}

/// A data folder that is ours until this value is dropped.
#[derive(Debug)]
pub struct DataDir {
    /// Absolute.
    pub path: PathBuf,
    /// The same for every life of a server on this folder, and different for every other folder.
    pub host_marker: String,
    /// Whose lives on this folder are one server's, as the other servers on its store see it.
    pub server_id: ServerId,
    _lock: File,
}

impl DataDir {
    /// Makes the folder if needed and locks it. The lock ends with the process, however that ends. Blocks for a moment
    /// while another has it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.to_owned(), source };
        make_private(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(failed)?;
        let until = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(LOCK_INTERVAL),
                Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(path)),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
        let host_marker = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let server_id = server_id(&path)?;
        Ok(Self { path, host_marker, server_id, _lock: lock })
    }

    /// Where sessions keep their files.
    pub fn directories(&self, shared_roots: Vec<PathBuf>) -> Result<DirectorySettings, DataDirError> {
        for root in &shared_roots {
            // One that is not there yet contains nothing.
            let real = root.canonicalize().unwrap_or_else(|_| root.clone());
            if real.starts_with(&self.path) || self.path.starts_with(&real) {
                return Err(DataDirError::Shared(root.clone()));
            }
        }
        let directories = DirectorySettings {
            workspaces: self.path.join("workspaces"),
            shared_roots,
            agents: self.path.join("agents"),
            temporary: self.temporary(),
        };
        for path in [&directories.workspaces, &directories.agents, &directories.temporary] {
            let failed = |source| DataDirError::Io { path: path.clone(), source };
            make_private(path).map_err(failed)?;
            let owner = fs::symlink_metadata(path).map_err(failed)?;
            let us = fs::metadata(&self.path).map_err(failed)?.uid();
            if !owner.is_dir() || owner.uid() != us {
                return Err(DataDirError::NotOurs(path.clone()));
            }
        }
        Ok(directories)
    }

    fn temporary(&self) -> PathBuf {
        let inside = self.path.join("tmp");
        if inside.as_os_str().len() <= TEMPORARY_PATH_BYTES_MAX {
            return inside;
        }
        PathBuf::from("/tmp").join(format!("steward-{}", self.host_marker))
    }
}

/// The id in the folder; the first server on it makes one up.
///
/// Called with the folder locked. The file appears whole or not at all, so a crash leaves no half of an id behind.
fn server_id(folder: &Path) -> Result<ServerId, DataDirError> {
    let path = folder.join("server_id");
    let failed = |source| DataDirError::Io { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| DataDirError::BadServerId(path.clone())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = ServerId::new();
            let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
            writeln!(file, "{id}").map_err(failed)?;
            file.as_file().sync_all().map_err(failed)?;
            file.persist(&path).map_err(|error| failed(error.error))?;
            Ok(id)
        }
        Err(error) => Err(failed(error)),
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(PRIVATE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_turned_away_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::InUse(_))));
        let (marker, id) = (first.host_marker.clone(), first.server_id);
        drop(first);
        let next = DataDir::open(dir.path()).unwrap();
        assert_eq!((next.host_marker, next.server_id), (marker, id));
    }

    #[test]
    fn a_lock_that_outlives_its_server_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let killed = DataDir::open(dir.path()).unwrap();
        let child = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            drop(killed);
        });
        DataDir::open(dir.path()).unwrap();
        child.join().unwrap();
    }

    #[test]
    fn a_server_id_that_is_none_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("server_id"), "half-an-").unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::BadServerId(_))));
        assert_eq!(fs::read_to_string(dir.path().join("server_id")).unwrap(), "half-an-");
    }

    #[test]
    fn the_data_folder_is_not_shared_with_agents_by_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
        std::fs::create_dir(dir.path().join("beside")).unwrap();
        for wrong in ["", "data", "data/workspaces", "link", "link/data"] {
            let refused = data.directories(vec![dir.path().join(wrong)]);
            assert!(matches!(refused, Err(DataDirError::Shared(_))), "{wrong}");
        }
        assert!(data.directories(vec![dir.path().join("beside")]).is_ok());
    }

    #[test]
    fn a_deep_data_folder_gets_short_temporary_paths() {
        let dir = tempfile::tempdir().unwrap();
        let deep = DataDir::open(&dir.path().join("d".repeat(80))).unwrap();
        assert!(deep.temporary().as_os_str().len() <= TEMPORARY_PATH_BYTES_MAX);
    }
}
