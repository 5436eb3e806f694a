//! Putting a session away: close its agent, store what it has on disk and its transcript, and only then remove it.

use super::{words, workshop::Alone};
use crate::{Error, Result, SessionManager, agent::Directories, temporary, workdir};
use domain::{
    Archive, ArchivePlace, Session, SessionStatus,
    archive::ArchiveContent,
    ports::{ArchiveError, ArchiveJob, ArchiveRoot, StoreError},
};
use fail::fail_point;
use jiff::SignedDuration;
use monitoring::ArchiveOperation;
use serde_json::json;
use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{task::JoinHandle, time::Instant};
use trees::remove_tree;

/// What is in an archive, each a folder of this name.
pub(crate) const WORKSPACE: &str = "workspace";
pub(super) const TRANSCRIPT: &str = "transcript";
const SESSION: &str = "session";
/// Attempts at one archive; after the last one it is given up.
const ATTEMPTS_MAX: u32 = 6;
/// Between the first attempt and the second; each later wait is four times as long.
const RETRY_DELAY_SECONDS: i64 = 5;
const RETRY_DELAY_SECONDS_MAX: i64 = 600;

impl SessionManager {
    /// Begins with an archive, or goes on with one that somebody left.
    pub(super) fn put_away_later(&self, archive: Archive) -> JoinHandle<Result<()>> {
        let this = self.clone();
        let work = async move {
            let working = async {
                let alone = this.inner.archiving.enter(archive.session_id).await;
                this.put_away(&archive, &alone).await
            };
            // The next life of this server, or another server, begins it anew.
            let worked = this.inner.draining.run_until_cancelled(working).await.unwrap_or(Ok(()));
            if let Err(error) = &worked {
                let error = error as &dyn std::error::Error;
                tracing::warn!(session_id = %archive.session_id, error, "could not finish an archive for now");
            }
            worked
        };
        self.inner.tasks.spawn_on(work, &self.inner.runtime)
    }

    async fn put_away(&self, archive: &Archive, alone: &Alone) -> Result<()> {
        let stores = &self.inner.stores;
        let _room = self.inner.archiving.room().await;
        let now = self.inner.clock.now();
        let Some(claimed) = stores.archives.claim_archive(archive, self.server(), now).await? else {
            return Ok(());
        };
        fail_point!("archive.claimed");
        let session = self.load(domain::Scope::All, claimed.session_id).await?;
        if claimed.attempt > ATTEMPTS_MAX {
            // Whoever began it so often never came to its end, and so will the next one.
            let why = format!("it was begun {ATTEMPTS_MAX} times and never came to an end");
            return self.give_up(&claimed, &why).await;
        }
        let began = Instant::now();
        let stored = self.store_archive(&session, &claimed).await;
        let size = stored.as_ref().ok().map(|content| content.size_bytes);
        let metrics = &self.inner.metrics;
        metrics.record_archive(ArchiveOperation::Store, stored.is_ok(), began.elapsed(), size);
        match stored {
            Ok(content) => self.complete(&session, &claimed, &content, alone).await,
            Err(error) => self.not_stored(&claimed, &error).await,
        }
    }

    async fn store_archive(&self, session: &Session, claimed: &Archive) -> Result<ArchiveContent> {
        // It reads the end of its input and writes down what it still has to.
        if let Some(agent) = self.inner.live.vacate(session.id).await {
            self.close(agent).await;
        }
        self.inner.live.closed(session.id).await;
        // What is stored and not in the files would be missing in the archive.
        self.check_out(session).await.map_err(|error| StoreError::Unavailable(error.into()))?;
        let (this, session) = (self.clone(), session.clone());
        let staged = tokio::task::spawn_blocking(move || this.stage_for_archive(&session)).await;
        let (_staging, roots) = staged.map_err(|_| Error::Internal("gather what is archived"))??;
        let job = ArchiveJob {
            place: claimed.place,
            key: claimed.key.clone(),
            compression: claimed.compression,
            roots,
            excludes: self.inner.settings.archives.excludes.clone(),
            limits: self.archive_limits(),
        };
        let archive_store = &self.inner.stores.archive_store;
        // What former attempts have left has names of its own, which nobody looks for after this one.
        let keys = claimed.keys();
        for former in keys.iter().filter(|key| **key != claimed.key) {
            archive_store.delete(claimed.place, former).await?;
        }
        let content = archive_store.store(&job).await?.content;
        fail_point!("archive.stored");
        if claimed.place == ArchivePlace::Local {
            self.admit_local_bytes(content.size_bytes).await?;
        }
        Ok(content)
    }

    /// What goes into the archive, and a folder with what is not on disk as it is there.
    fn stage_for_archive(&self, session: &Session) -> Result<(Staging, Vec<ArchiveRoot>)> {
        let settings = &self.inner.settings;
        let directories = Directories::of(settings, session);
        // Beside the folder of the session's agents, who may have made anything in that.
        let staging = format!("{}{}", temporary::ARCHIVE, session.id);
        let staging = Staging::make(&settings.directories.temporary.join(staging))?;
        let opened = self.open_workspace(session)?;
        if opened.is_none() && session.spec.owns_directory && session.status != SessionStatus::Terminated {
            let why = "its working directory is not on this server; restore it first";
            return Err(Error::NotArchived(why.to_owned()));
        }
        let workspace = match &opened {
            Some(_) => PathBuf::from(&session.spec.working_directory),
            None => staging.folder(WORKSPACE)?,
        };
        let transcripts = directories.transcripts();
        let has_transcripts = is_folder(&transcripts).map_err(not_staged)?;
        let transcripts = if has_transcripts { transcripts } else { staging.folder(TRANSCRIPT)? };
        let about = staging.folder(SESSION)?;
        let text =
            serde_json::to_vec_pretty(&about_session(session)).map_err(|error| not_staged(error.into()))?;
        std::fs::write(about.join("session.json"), text).map_err(not_staged)?;
        let root = |name: &str, folder, opened, may_exclude| ArchiveRoot {
            name: name.to_owned(),
            folder,
            opened,
            may_exclude,
        };
        let roots = vec![
            root(WORKSPACE, workspace, opened.map(Arc::new), true),
            root(TRANSCRIPT, transcripts, None, false),
            root(SESSION, about, None, false),
        ];
        Ok((staging, roots))
    }

    /// The session's working directory, if it is on this server: opened, because agents work in there and above, and
    /// this server reads more than they may.
    fn open_workspace(&self, session: &Session) -> Result<Option<OwnedFd>> {
        let settings = &self.inner.settings;
        let path = Path::new(&session.spec.working_directory);
        if self.has_files_elsewhere(session) || !path.try_exists().map_err(not_staged)? {
            return Ok(None);
        }
        let home = workdir::home(settings, session.user_id);
        workdir::check(&settings.directories, &home, &session.spec.working_directory, "")
            .map_err(not_allowed)?;
        let opened = workdir::open(&settings.directories, session.user_id, path).map_err(not_staged)?;
        Ok(Some(opened.into_std_file().into()))
    }

    async fn complete(
        &self,
        session: &Session,
        claimed: &Archive,
        content: &ArchiveContent,
        alone: &Alone,
    ) -> Result<()> {
        let now = self.inner.clock.now();
        match self.inner.stores.archives.complete_archive(claimed, content, now).await? {
            Some((_, event)) => {
                fail_point!("archive.completed");
                self.inner.feed.publish([event]);
                self.clean_up(session, claimed.id, alone).await
            }
            // The session is gone meanwhile, or somebody else took it up: nobody will ever look for this object.
            None => {
                let on_record = self.inner.stores.archives.archive(claimed.id).await?;
                if on_record.is_none_or(|archive| archive.key != claimed.key) {
                    self.inner.stores.archive_store.delete(claimed.place, &claimed.key).await?;
                }
                Ok(())
            }
        }
    }

    async fn not_stored(&self, claimed: &Archive, error: &Error) -> Result<()> {
        let may_pass = matches!(error, Error::Archive(ArchiveError::Unavailable(_)) | Error::Store(_));
        if !may_pass || claimed.attempt >= ATTEMPTS_MAX {
            let why = match error {
                Error::NotArchived(why) => why.clone(),
                error => words(error),
            };
            return self.give_up(claimed, &why).await;
        }
        let delay = RETRY_DELAY_SECONDS.saturating_mul(4_i64.saturating_pow(claimed.attempt - 1));
        let now = self.inner.clock.now();
        let due_at = now + SignedDuration::from_secs(delay.min(RETRY_DELAY_SECONDS_MAX));
        self.inner.stores.archives.postpone_archive(claimed, &words(error), due_at, now).await?;
        Ok(())
    }

    async fn give_up(&self, claimed: &Archive, why: &str) -> Result<()> {
        tracing::warn!(session_id = %claimed.session_id, why, "gave an archive up");
        let now = self.inner.clock.now();
        if let Some((_, event)) = self.inner.stores.archives.fail_archive(claimed, why, now).await? {
            self.inner.feed.publish([event]);
            self.admit_later();
        }
        Ok(())
    }
}

/// What an archive says about its session to people without this server. The environment of its agents is not in it.
fn about_session(session: &Session) -> serde_json::Value {
    json!({
        "id": session.id,
        "user_id": session.user_id,
        "name": session.name,
        "description": session.description,
        "mode": session.mode,
        "working_directory": session.spec.working_directory,
        "model": session.spec.sdk_options.model,
        "permission_mode": session.spec.permission_mode,
        "conversation_id": session.agent.map(|agent| agent.id),
        "message_count": session.counters.messages,
        "total_cost_usd": session.counters.cost.as_usd(),
        "parent_session_id": session.parent_session_id,
        "metadata": session.metadata,
        "created_at": session.created_at,
        "started_at": session.started_at,
        "completed_at": session.completed_at,
    })
}

/// What is wrong with the working directory, in words for whoever asked for an archive and named no directory.
fn not_allowed(error: Error) -> Error {
    match error {
        Error::Invalid(faults) => {
            let why: Vec<_> = faults.into_iter().map(|fault| fault.message).collect();
            Error::NotArchived(format!("its working directory is not allowed: it {}", why.join(", ")))
        }
        error => error,
    }
}

/// A link is none, wherever it leads.
fn is_folder(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        metadata => Ok(metadata?.is_dir()),
    }
}

fn not_staged(source: io::Error) -> Error {
    Error::Files { action: "gather what is archived", source }
}

/// A folder that is removed when this is dropped.
#[derive(Debug)]
struct Staging(PathBuf);

impl Staging {
    /// Makes the folder anew: what a killed server left in it is of no use.
    fn make(path: &Path) -> Result<Self> {
        let staging = Self(path.to_owned());
        staging.remove().map_err(not_staged)?;
        std::fs::create_dir_all(path).map_err(not_staged)?;
        Ok(staging)
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.0.join(name);
        std::fs::create_dir_all(&folder).map_err(not_staged)?;
        Ok(folder)
    }

    fn remove(&self) -> io::Result<()> {
        remove_tree(&self.0)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "could not remove what was gathered for an archive");
        }
    }
}
