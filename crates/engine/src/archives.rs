//! Archives as people ask for them: put a session away, look at what was put away, bring it back.
//!
//! The store says what is under way and holds the session; whoever works on it here may die at any point. What is left
//! half-done is found by [`keep`] and done again, each attempt under a key of its own.

mod bring_back;
mod keep;
mod put_away;
mod workshop;

use crate::{Error, Result, SessionManager, workdir};
use domain::{
    Archive, ArchivePlace, ArchiveStatus, Caller, Compression, Origin, Scope, Session, SessionId,
    SessionStatus,
    ports::{ArchiveError, ArchiveLimits, ArchiveOpened, ArchiveRef, ByteStream, RestoreOpened},
};
use std::{ops::Range, path::PathBuf, time::Duration};
use tokio::task::JoinHandle;

pub(crate) use put_away::WORKSPACE;
pub(crate) use workshop::Workshop;

/// How long a request waits for what it began, before it is told that it goes on.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// How long an address is good for that was signed for a download.
const SIGNED_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// The largest archive, unpacked; a session's directories are bounded far below.
const UNPACKED_BYTES_MAX: u64 = 1 << 40;
const ENTRIES_MAX: u64 = 1_000_000;

/// How a session is to be archived.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveRequest {
    /// The server's own choice if there is none.
    pub compression: Option<Compression>,
    /// Whether it goes to S3 where there is one.
    pub to_s3: bool,
    /// Whether the request waits a while for the end.
    pub waits: bool,
}

impl SessionManager {
    /// Archives a session that runs no turn. One that is being archived, or is archived already, is answered with the
    /// archive that it has. One whose home is another server is archived there, when that looks round.
    pub async fn archive(&self, caller: &Caller, id: SessionId, asked: ArchiveRequest) -> Result<Archive> {
        self.archive_within(caller.scope(), id, asked, &caller.origin()).await
    }

    /// The same for work that the server does by itself: `scope` says whose session it may be, `origin` who wants it.
    pub(crate) async fn archive_within(
        &self,
        scope: Scope,
        id: SessionId,
        asked: ArchiveRequest,
        origin: &Origin,
    ) -> Result<Archive> {
        self.admit_work()?;
        let session = self.load(scope, id).await?;
        let archives = &self.inner.stores.archives;
        let place = if asked.to_s3 { self.inner.stores.archive_store.place() } else { ArchivePlace::Local };
        if session.status == SessionStatus::Archived {
            return archives.latest_archive(id).await?.ok_or(Error::Internal("find the session's archive"));
        }
        let is_elsewhere = self.inner.lease.is_elsewhere(session.server_id);
        if place == ArchivePlace::Local && !is_elsewhere {
            self.admit_local_bytes(1).await?;
        }
        let archive = self.new_archive(&session, place, asked.compression);
        let (this, origin) = (self.clone(), origin.clone());
        let opened = self.see_through(async move {
            // Asked once more: shutdown waits for tasks that were there before it, and this one may not have been.
            this.admit_work()?;
            Ok(match this.inner.stores.archives.open_archive(&archive, &origin).await? {
                ArchiveOpened::Opened(archive, event) => {
                    this.inner.feed.publish([event]);
                    let working = (!is_elsewhere).then(|| this.put_away_later(Archive::clone(&archive)));
                    (archive, working)
                }
                ArchiveOpened::Open(archive) => (archive, None),
                ArchiveOpened::Refused(status) => return Err(Error::WrongState(status)),
                ArchiveOpened::Held(operation) => return Err(Error::Held(operation)),
                ArchiveOpened::NoSession => return Err(Error::NotFound("session")),
            })
        });
        let (archive, working) = opened.await?;
        if let Some(working) = working.filter(|_| asked.waits) {
            outcome(working).await;
        }
        let archive = archives.archive(archive.id).await?.unwrap_or(*archive);
        match (archive.status, &archive.error_message) {
            (ArchiveStatus::Failed, Some(why)) => Err(Error::NotArchived(why.clone())),
            _ => Ok(archive),
        }
    }

    /// The session's newest archive, whatever became of it.
    pub async fn archive_of(&self, caller: &Caller, id: SessionId) -> Result<Archive> {
        self.load(caller.scope(), id).await?;
        self.inner.stores.archives.latest_archive(id).await?.ok_or(Error::NotFound("archive"))
    }

    /// The archive that the session can be restored from.
    pub async fn stored_archive(&self, caller: &Caller, id: SessionId) -> Result<Archive> {
        let session = self.load(caller.scope(), id).await?;
        self.stored_archive_of(&session).await
    }

    /// The bytes of a stored archive, or a range of them.
    pub async fn read_archive(&self, archive: &Archive, range: Option<Range<u64>>) -> Result<ByteStream> {
        let stored = self.stored(archive)?;
        Ok(self.inner.stores.archive_store.open(&stored, range).await?)
    }

    /// What a stored archive holds, as JSON.
    pub async fn read_manifest(&self, archive: &Archive) -> Result<ByteStream> {
        let stored = self.stored(archive)?;
        Ok(self.inner.stores.archive_store.manifest(&stored).await?)
    }

    /// An address at which a stored archive can be downloaded for a while, where the archive store can sign one.
    pub async fn signed_address(&self, archive: &Archive) -> Result<Option<String>> {
        let stored = self.stored(archive)?;
        Ok(self.inner.stores.archive_store.presign(&stored, SIGNED_LIFETIME).await?)
    }

    /// Brings an archived session back, or what an idle one lost on disk. Waits a while for the end; the session says
    /// whether it is still held.
    pub async fn restore(&self, caller: &Caller, id: SessionId, waits: bool) -> Result<Session> {
        self.admit_work()?;
        let session = self.load(caller.scope(), id).await?;
        if session.status != SessionStatus::Archived
            && session.operation.is_none()
            && self.has_workspace(&session).await?
        {
            return Err(Error::WrongState(session.status));
        }
        let from = self.stored_archive_of(&session).await?;
        self.stored(&from)?;
        let (this, origin, from) = (self.clone(), caller.origin(), from.id);
        let opened = self.see_through(async move {
            this.admit_work()?;
            let now = this.inner.clock.now();
            let archives = &this.inner.stores.archives;
            Ok(match archives.open_restore(id, from, this.server(), now, &origin).await? {
                RestoreOpened::Opened(session, event) => {
                    this.inner.feed.publish([event]);
                    Some(this.bring_back_later(*session))
                }
                RestoreOpened::Open(_) => None,
                RestoreOpened::Refused(status) => return Err(Error::WrongState(status)),
                RestoreOpened::Held(operation) => return Err(Error::Held(operation)),
                RestoreOpened::Elsewhere => return Err(Error::FilesElsewhere),
                RestoreOpened::NoArchive => return Err(Error::ArchiveRemoved),
                RestoreOpened::NoSession => return Err(Error::NotFound("session")),
            })
        });
        if let Some(working) = opened.await?.filter(|_| waits)
            && let Some(restored) = outcome(working).await
        {
            restored?;
        }
        self.get(caller, id).await
    }

    /// Whether the archive store works, and where it is.
    pub async fn check_archive_store(&self) -> std::result::Result<String, ArchiveError> {
        self.inner.stores.archive_store.check().await
    }

    /// An archive to be asked for.
    fn new_archive(
        &self,
        session: &Session,
        place: ArchivePlace,
        compression: Option<Compression>,
    ) -> Archive {
        let settings = &self.inner.settings.archives;
        let compression = compression.unwrap_or(settings.compression);
        let archive = Archive::pending(session, place, compression, self.inner.clock.now());
        match place {
            ArchivePlace::Local => archive,
            ArchivePlace::S3 => Archive { key: format!("{}{}", settings.s3_prefix, archive.key), ..archive },
        }
    }

    /// Whether so many more bytes of archives may be kept on the local disk.
    async fn admit_local_bytes(&self, more: u64) -> Result<()> {
        let Some(max) = self.inner.settings.archives.local_bytes_max else { return Ok(()) };
        let used = self.inner.stores.archives.local_archive_bytes(self.server()).await?;
        if used.saturating_add(more) > max { Err(Error::ArchivesFull { used, max }) } else { Ok(()) }
    }

    /// The archive that the session can be restored from, or why there is none.
    async fn stored_archive_of(&self, session: &Session) -> Result<Archive> {
        let archives = &self.inner.stores.archives;
        if let Some(id) = session.archive_id
            && let Some(archive) = archives.archive(id).await?
            && archive.is_restorable()
        {
            return Ok(archive);
        }
        let latest = archives.latest_archive(session.id).await?;
        let was_removed = latest.is_some_and(|latest| latest.removed_at.is_some());
        Err(if was_removed { Error::ArchiveRemoved } else { Error::NotFound("archive") })
    }

    /// The session's archive, if this server has a way to read it.
    pub(crate) async fn archive_within_reach(
        &self,
        session: &Session,
    ) -> Result<Option<(Archive, ArchiveRef)>> {
        let Some(id) = session.archive_id else { return Ok(None) };
        let archive = self.inner.stores.archives.archive(id).await?;
        Ok(archive.and_then(|archive| {
            let stored = self.stored(&archive).ok()?;
            Some((archive, stored))
        }))
    }

    /// How the archive store knows the archive.
    fn stored(&self, archive: &Archive) -> Result<ArchiveRef> {
        let content = archive.content.clone().filter(|_| archive.is_restorable());
        let content = content.ok_or(Error::ArchiveRemoved)?;
        if !archive.is_within_reach_of(self.server()) {
            return Err(Error::FilesElsewhere);
        }
        Ok(ArchiveRef {
            place: archive.place,
            key: archive.key.clone(),
            compression: archive.compression,
            content,
            limits: self.archive_limits(),
        })
    }

    fn archive_limits(&self) -> ArchiveLimits {
        ArchiveLimits {
            bytes_max: UNPACKED_BYTES_MAX,
            entries_max: ENTRIES_MAX,
            file_bytes_max: self.inner.settings.archives.file_bytes_max,
        }
    }

    /// Whether the session's own files are another server's: what this one has of them, if anything, is out of date.
    pub(crate) fn has_files_elsewhere(&self, session: &Session) -> bool {
        let is_here = session.spec.whereabouts.is_at(self.server())
            && !self.inner.lease.is_elsewhere(session.server_id);
        session.spec.owns_directory && !is_here
    }

    /// Whether the session's working directory, and no older one of it, is on this server.
    pub(crate) async fn has_workspace(&self, session: &Session) -> Result<bool> {
        if self.has_files_elsewhere(session) {
            return Ok(false);
        }
        let workspace = match session.spec.owns_directory {
            true => workdir::own(&self.inner.settings.directories, session.user_id, session.id),
            false => PathBuf::from(&session.spec.working_directory),
        };
        let there = tokio::fs::try_exists(workspace).await;
        there.map_err(|source| Error::Files { action: "look at the working directory", source })
    }
}

/// What came of the work, if that is known soon.
async fn outcome<T>(working: JoinHandle<Result<T>>) -> Option<Result<T>> {
    match tokio::time::timeout(ANSWER_WAIT, working).await {
        Ok(Ok(done)) => Some(done),
        // It goes on, or somebody else goes on with it.
        Ok(Err(_)) | Err(_) => None,
    }
}

/// An error and what led to it, as the end of a sentence.
fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(format!("could not {error}"), |text, cause| format!("{text}: {cause}"))
}
