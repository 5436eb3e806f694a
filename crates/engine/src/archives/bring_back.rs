//! Bringing a session back: unpack beside, put in place, and only then let it go on.

use super::{
    put_away::{TRANSCRIPT, WORKSPACE},
    words,
};
use crate::{Error, Result, SessionManager, agent::Directories, removal::remove_tree, workdir};
use domain::{
    Operation, Session, SessionStatus,
    ports::{ArchiveError, ArchiveRef},
};
use monitoring::ArchiveOperation;
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::{task::JoinHandle, time::Instant};

impl SessionManager {
    /// Begins with a restore, or goes on with one that somebody left.
    pub(super) fn bring_back_later(&self, session: Session) -> JoinHandle<Result<()>> {
        let this = self.clone();
        let work = async move {
            let working = this.bring_back(&session);
            // The next life of this server, or another server, begins it anew.
            let worked = this.inner.draining.run_until_cancelled(working).await.unwrap_or(Ok(()));
            if let Err(error) = &worked {
                let error = error as &dyn std::error::Error;
                tracing::warn!(session_id = %session.id, error, "could not restore a session");
            }
            worked
        };
        self.inner.tasks.spawn_on(work, &self.inner.runtime)
    }

    async fn bring_back(&self, session: &Session) -> Result<()> {
        let _alone = self.inner.archiving.enter(session.id).await;
        let _room = self.inner.archiving.room().await;
        // From whoever began it, also if that was this server in an earlier life.
        let now = self.inner.clock.now();
        if self.inner.lease.store.take_over(session.id, self.server(), now).await?.is_none() {
            return Ok(());
        }
        let session = self.load(domain::Scope::All, session.id).await?;
        let (Some(Operation::Restoring), Some(from)) = (session.operation, session.archive_id) else {
            return Ok(());
        };
        let archives = &self.inner.stores.archives;
        let archive = archives.archive(from).await?;
        let stored = archive.ok_or(Error::ArchiveRemoved).and_then(|archive| self.stored(&archive));
        let (now, by) = (self.inner.clock.now(), session.generation);
        let unpacked = match stored {
            Ok(stored) => {
                let began = Instant::now();
                let unpacked = self.unpack(&session, &stored).await;
                let metrics = &self.inner.metrics;
                metrics.record_archive(ArchiveOperation::Restore, unpacked.is_ok(), began.elapsed(), None);
                unpacked
            }
            Err(error) => Err(error),
        };
        match unpacked {
            Ok(workspace) => {
                let workspace = workspace.map(|path| path.display().to_string());
                let finished =
                    archives.finish_restore(session.id, from, by, workspace.as_deref(), now).await?;
                if let Some((_, events)) = finished {
                    self.inner.feed.publish(events);
                    self.admit_later();
                }
                Ok(())
            }
            // Nobody knows whether it would work: another round tries again.
            Err(error @ Error::Store(_)) => Err(error),
            Err(error) => {
                let why = words(&error);
                self.inner.feed.publish(archives.fail_restore(session.id, from, by, &why, now).await?);
                Err(match error {
                    Error::Archive(ArchiveError::Unavailable(_)) => error,
                    _ => Error::NotRestored(why),
                })
            }
        }
    }

    /// Puts what the session had on disk in place again; answers with its own working directory, if it has one.
    async fn unpack(&self, session: &Session, stored: &ArchiveRef) -> Result<Option<PathBuf>> {
        let workspace = self.unpack_workspace(session, stored).await?;
        let transcripts = Directories::of(&self.inner.settings, session).transcripts();
        // One that only lost its files may have talked on since the archive.
        let is_archived = session.status == SessionStatus::Archived;
        if is_archived || is_empty(&transcripts).map_err(not_replaced)? {
            self.unpack_root(stored, TRANSCRIPT, transcripts, None).await?;
        }
        Ok(workspace)
    }

    /// Puts the working directory of the archive in its place; answers with the path, if it is the session's own.
    pub(crate) async fn unpack_workspace(
        &self,
        session: &Session,
        stored: &ArchiveRef,
    ) -> Result<Option<PathBuf>> {
        let settings = &self.inner.settings;
        if session.spec.owns_directory {
            // Its place on this server, wherever it was before.
            let own = workdir::own(&settings.directories, session.user_id, session.id);
            // What the session left here when it went on elsewhere may have what no archive has.
            let whereabouts = &session.spec.whereabouts;
            let is_left = !whereabouts.is_at(self.server());
            let aside = is_left.then(|| workdir::aside(&own, whereabouts.left_at(self.server())));
            self.unpack_root(stored, WORKSPACE, own.clone(), aside).await?;
            return Ok(Some(own));
        }
        // Others work in it: it is as it is, unless it is gone.
        let shared = &session.spec.working_directory;
        let home = workdir::home(settings, session.user_id);
        let shared = workdir::check(&settings.directories, &home, shared, "")?;
        if is_empty(&shared).map_err(not_replaced)? {
            self.inner.stores.archive_store.restore(stored, WORKSPACE, shared).await?;
        }
        Ok(None)
    }

    /// Unpacks beside the target and puts it in its place: what was there is there until all of it is, and is kept under
    /// another name if one is given.
    async fn unpack_root(
        &self,
        stored: &ArchiveRef,
        root: &str,
        target: PathBuf,
        aside: Option<PathBuf>,
    ) -> Result<()> {
        let beside = beside(&target);
        blocking({
            let beside = beside.clone();
            move || remove_tree(&beside)
        })
        .await?;
        self.inner.stores.archive_store.restore(stored, root, beside.clone()).await?;
        blocking(move || {
            match aside {
                Some(aside) => set_aside(&target, &aside)?,
                None => remove_tree(&target)?,
            }
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::rename(&beside, &target)
        })
        .await
    }
}

/// A folder beside the target, on the same file system.
fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".restoring-{name}"))
}

fn is_empty(path: &Path) -> io::Result<bool> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Gives the folder this name, unless there is one of that name: then that was left here, and the folder is what an
/// attempt that was cut short put in its place.
fn set_aside(folder: &Path, aside: &Path) -> io::Result<()> {
    if aside.try_exists()? {
        return remove_tree(folder);
    }
    match std::fs::rename(folder, aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn not_replaced(source: io::Error) -> Error {
    Error::Files { action: "put what was archived in its place", source }
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<()> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.map_err(|_| Error::Internal("put what was archived in its place"))?.map_err(not_replaced)
}
