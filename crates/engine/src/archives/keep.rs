//! What nobody asks for: going on with what was left, archiving what lies idle, removing what is of no use any more.

use super::workshop::Alone;
use crate::{Error, Result, SessionManager, agent::Directories, housekeeping::tell};
use domain::{
    ArchiveId, ArchivePlace, Origin, Scope, Session, SessionId, SessionStatus,
    ports::{ArchiveError, ArchiveObject, ArchiveOpened, StoreError},
};

/// What is looked at in one round; the next one looks at the rest.
const ROUND_MAX: u32 = 64;

impl SessionManager {
    /// One round. Every step looks at the state and can be repeated; one that fails keeps no other from its turn.
    pub(crate) async fn keep_archives(&self) {
        tell([
            ("go on with archives", self.go_on_with_archives().await),
            ("clean up after archives", self.clean_archived().await),
            ("remove archives whose time is up", self.expire_archives().await),
            ("archive idle sessions", self.archive_idle().await),
        ]);
        self.delete_objects_later();
    }

    /// Takes up what was asked for and nobody works on.
    async fn go_on_with_archives(&self) -> Result<()> {
        let archives = &self.inner.stores.archives;
        for archive in archives.open_archives(self.server(), self.inner.clock.now(), ROUND_MAX).await? {
            if self.inner.archiving.is_free(archive.session_id) {
                drop(self.put_away_later(archive));
            }
        }
        for session in archives.open_restores(self.server(), ROUND_MAX).await? {
            if self.inner.archiving.is_free(session.id) {
                drop(self.bring_back_later(session));
            }
        }
        Ok(())
    }

    /// Removes what a former life of this server left on disk of sessions that are archived.
    async fn clean_archived(&self) -> Result<()> {
        if !self.inner.settings.archives.auto_cleanup {
            return Ok(());
        }
        for session in self.inner.stores.archives.sessions_to_clean(self.server(), ROUND_MAX).await? {
            let Some(alone) = self.inner.archiving.try_enter(session.id) else { continue };
            if let Err(error) = self.clean_up_if_archived(session.id, &alone).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(session_id = %session.id, error, "could not clean up after an archive for now");
            }
        }
        Ok(())
    }

    /// It may have been restored since it was listed.
    async fn clean_up_if_archived(&self, id: SessionId, alone: &Alone) -> Result<()> {
        let session = self.load(Scope::All, id).await?;
        if session.status == SessionStatus::Archived
            && session.operation.is_none()
            && let Some(archive) = session.archive_id
        {
            self.clean_up(&session, archive, alone).await?;
        }
        Ok(())
    }

    /// Removes what a session has on disk, which its archive has too, and leaves it to whoever restores it. A directory
    /// that others may use stays.
    pub(super) async fn clean_up(&self, session: &Session, archive: ArchiveId, _: &Alone) -> Result<()> {
        if !self.inner.settings.archives.auto_cleanup {
            return Ok(());
        }
        let directories = Directories::of(&self.inner.settings, session);
        tokio::task::spawn_blocking(move || directories.remove())
            .await
            .map_err(|_| Error::Internal("remove the session's directories"))??;
        self.inner.stores.archives.session_cleaned(archive).await?;
        match self.inner.lease.store.leave(session.id, session.generation).await {
            // Somebody restores it already.
            Ok(()) | Err(StoreError::Fenced) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn expire_archives(&self) -> Result<()> {
        let Some(retention) = self.inner.settings.archives.retention else { return Ok(()) };
        let (archives, now) = (&self.inner.stores.archives, self.inner.clock.now());
        for archive in archives.expired_archives(now - retention, ROUND_MAX).await? {
            if let Some(events) = archives.expire_archive(archive.id, now).await? {
                tracing::info!(session_id = %archive.session_id, "an archive's time was up");
                self.inner.feed.publish(events);
            }
        }
        Ok(())
    }

    /// In a task of its own, unless there is one: a store that does not answer takes its time for each, and nothing else
    /// waits for that.
    fn delete_objects_later(&self) {
        let Some(alone) = self.inner.archiving.try_delete() else { return };
        let this = self.clone();
        self.spawn(async move {
            // The next life of this server, or another server, goes on with it.
            let deleting = this.inner.draining.run_until_cancelled(this.delete_objects());
            tell([("delete archives that are of no use any more", deleting.await.unwrap_or(Ok(())))]);
            drop(alone);
        });
    }

    async fn delete_objects(&self) -> Result<()> {
        let (archives, mut after) = (&self.inner.stores.archives, None);
        loop {
            let objects = archives.objects_to_delete(self.server(), after, ROUND_MAX).await?;
            let Some(last) = objects.last() else { return Ok(()) };
            after = Some(last.archive);
            for object in objects {
                match self.delete_object(&object).await {
                    Ok(()) => archives.object_deleted(object.archive).await?,
                    // It stays on the list.
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(archive_id = %object.archive, error, "could not delete an archive for now");
                    }
                }
            }
        }
    }

    async fn delete_object(&self, object: &ArchiveObject) -> std::result::Result<(), ArchiveError> {
        for key in &object.keys {
            self.inner.stores.archive_store.delete(object.place, key).await?;
        }
        Ok(())
    }

    /// Opens archives of sessions in which nothing happened for long. One that cannot be archived is tried again when
    /// it has been idle as long once more, because what was tried is in its journal.
    async fn archive_idle(&self) -> Result<()> {
        let Some(after) = self.inner.settings.archives.auto_archive_after else { return Ok(()) };
        let place = self.inner.stores.archive_store.place();
        if place == ArchivePlace::Local {
            match self.admit_local_bytes(1).await {
                // Nobody asked, so nobody is told; it is looked at again in the next round.
                Err(Error::ArchivesFull { .. }) => return Ok(()),
                admitted => admitted?,
            }
        }
        let archives = &self.inner.stores.archives;
        let before = self.inner.clock.now() - after;
        for session in archives.idle_sessions(self.server(), before, ROUND_MAX).await? {
            let archive = self.new_archive(&session, place, None);
            if let ArchiveOpened::Opened(archive, event) =
                archives.open_archive(&archive, &Origin::system()).await?
            {
                self.inner.feed.publish([event]);
                drop(self.put_away_later(*archive));
            }
        }
        Ok(())
    }
}
