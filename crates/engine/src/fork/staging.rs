//! Staging: the files of a fork on their way, in a folder that says whose they will be.
//!
//! The folder is there from before the first file until after the fork is stored. So a server that finds one when it
//! starts knows which fork was not finished, and where its files are.

use crate::{Error, Result, settings::DirectorySettings};
use domain::{SessionId, UserId};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use trees::remove_tree;

/// No user's folder has this name: theirs are ids.
const FOLDER: &str = ".forks";

/// The staging folder of one fork.
#[derive(Debug, Clone)]
pub(super) struct Staging {
    workspaces: PathBuf,
    user: UserId,
    fork: SessionId,
}

impl Staging {
    pub(super) fn new(settings: &DirectorySettings, user: UserId, fork: SessionId) -> Self {
        Self { workspaces: settings.workspaces.clone(), user, fork }
    }

    /// Those that are there.
    pub(super) async fn left(settings: &DirectorySettings) -> Result<Vec<Self>> {
        let workspaces = settings.workspaces.clone();
        let found = blocking("look for unfinished forks", move || {
            let entries = match fs::read_dir(workspaces.join(FOLDER)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
            let ids = names.filter_map(|name| {
                let (user, fork) = name.split_once('.')?;
                Some((user.parse().ok()?, fork.parse().ok()?))
            });
            Ok(ids.map(|(user, fork)| Self { workspaces: workspaces.clone(), user, fork }).collect())
        });
        found.await
    }

    pub(super) fn fork(&self) -> SessionId {
        self.fork
    }

    /// Makes the folder. The files go to the path that this answers with, where nothing is yet.
    pub(super) async fn begin(&self) -> Result<PathBuf> {
        let folder = self.folder();
        let files = folder.join("files");
        blocking("make room for the fork's files", move || fs::create_dir_all(folder)).await?;
        Ok(files)
    }

    /// Makes the files the fork's working directory.
    pub(super) async fn put_in_place(&self) -> Result<PathBuf> {
        let (files, target) = (self.folder().join("files"), self.target());
        let moved = target.clone();
        let put = blocking("put the fork's files in place", move || {
            fs::create_dir_all(moved.parent().unwrap_or(Path::new(".")))?;
            fs::rename(files, moved)
        });
        if let Err(error) = put.await {
            self.take_back(true).await;
            return Err(error);
        }
        Ok(target)
    }

    /// The fork is stored, or has no files: nothing is on its way any more.
    pub(super) async fn forget(&self) {
        let folder = self.folder();
        self.told(blocking("remove the fork's staging folder", move || remove_tree(&folder)).await);
    }

    /// The fork is not: its files go, if the directory was made for it.
    pub(super) async fn take_back(&self, is_own: bool) {
        let (folder, target) = (self.folder(), self.target());
        let removed = blocking("remove the files of a fork that was not made", move || {
            if is_own {
                remove_tree(&target)?;
            }
            remove_tree(&folder)
        });
        self.told(removed.await);
    }

    fn told(&self, removed: Result<()>) {
        if let Err(error) = removed {
            tracing::warn!(session_id = %self.fork, error = &error as &dyn std::error::Error, "a fork left something");
        }
    }

    fn folder(&self) -> PathBuf {
        self.workspaces.join(FOLDER).join(format!("{}.{}", self.user, self.fork))
    }

    fn target(&self) -> PathBuf {
        self.workspaces.join(self.user.to_string()).join(self.fork.to_string())
    }
}

async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal(action))?;
    done.map_err(|source| Error::Files { action, source })
}
