//! Bringing a session back: unpack beside, put in place, and only then let it go on.

use super::{
    put_away::{TRANSCRIPT, WORKSPACE},
    words,
};
use crate::{Error, Result, SessionManager, agent::Directories, settings::DirectorySettings, workdir};
use cap_std::{ambient_authority, fs::Dir};
use domain::{
    Operation, Session, SessionStatus, UserId,
    ports::{ArchiveError, ArchiveRef, ArchiveTarget},
};
use monitoring::ArchiveOperation;
use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{task::JoinHandle, time::Instant};
use trees::remove_in;

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
            let spot = Spot::in_folder_of(transcripts).map_err(not_replaced)?;
            self.unpack_root(stored, TRANSCRIPT, spot, None).await?;
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
            let spot = Spot::of_workspace(&settings.directories, session.user_id, own.clone());
            self.unpack_root(stored, WORKSPACE, spot.map_err(not_replaced)?, aside).await?;
            return Ok(Some(own));
        }
        // Others work in it: it is as it is, unless it is gone.
        let shared = &session.spec.working_directory;
        let home = workdir::home(settings, session.user_id);
        let shared = workdir::check(&settings.directories, &home, shared, "")?;
        if is_empty(&shared).map_err(not_replaced)? {
            let spot = Spot::of_workspace(&settings.directories, session.user_id, shared);
            let target = spot.and_then(|spot| spot.target(spot.path.clone())).map_err(not_replaced)?;
            self.inner.stores.archive_store.restore(stored, WORKSPACE, target).await?;
        }
        Ok(None)
    }

    /// Unpacks beside the target and puts it in its place: what was there is there until all of it is, and is kept under
    /// another name if one is given.
    async fn unpack_root(
        &self,
        stored: &ArchiveRef,
        root: &str,
        spot: Spot,
        aside: Option<PathBuf>,
    ) -> Result<()> {
        let beside = beside(&spot.path);
        let spot = blocking({
            let beside = beside.clone();
            move || remove_in(&spot.above, name_of(&beside)).map(|()| spot)
        })
        .await?;
        let target = spot.target(beside.clone()).map_err(not_replaced)?;
        self.inner.stores.archive_store.restore(stored, root, target).await?;
        blocking(move || {
            let (above, name) = (&spot.above, name_of(&spot.path));
            match aside {
                Some(aside) => set_aside(above, name, name_of(&aside))?,
                None => remove_in(above, name)?,
            }
            above.rename(name_of(&beside), above, name)
        })
        .await
    }
}

/// Where a folder is to be put. The one above it is held open: others may work in it, and put something else in the place
/// of what was looked at.
#[derive(Debug)]
struct Spot {
    above: Dir,
    path: PathBuf,
}

impl Spot {
    /// That of a working directory.
    fn of_workspace(settings: &DirectorySettings, user: UserId, path: PathBuf) -> io::Result<Self> {
        Ok(Self { above: workdir::open_above(settings, user, &path)?, path })
    }

    /// One in a folder that is this server's.
    fn in_folder_of(path: PathBuf) -> io::Result<Self> {
        let above = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        std::fs::create_dir_all(above)?;
        Ok(Self { above: Dir::open_ambient_dir(above, ambient_authority())?, path })
    }

    /// The spot, or one beside it, as the archive store wants to have it.
    fn target(&self, folder: PathBuf) -> io::Result<ArchiveTarget> {
        let above = self.above.try_clone()?.into_std_file();
        Ok(ArchiveTarget { folder, above: Some(Arc::new(above.into())) })
    }
}

/// A folder beside the target, on the same file system.
fn beside(target: &Path) -> PathBuf {
    target.with_file_name(format!(".restoring-{}", name_of(target).to_string_lossy()))
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
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
fn set_aside(above: &Dir, folder: &OsStr, aside: &OsStr) -> io::Result<()> {
    match above.symlink_metadata(aside) {
        Ok(_) => return remove_in(above, folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match above.rename(folder, above, aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn not_replaced(source: io::Error) -> Error {
    Error::Files { action: "put what was archived in its place", source }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.map_err(|_| Error::Internal("put what was archived in its place"))?.map_err(not_replaced)
}
