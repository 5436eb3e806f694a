//! The records of archives, and how archiving and restoring hold a session.

use super::StoreResult;
use crate::{
    Archive, ArchiveId, ArchivePlace, Event, Generation, Operation, Origin, ServerId, Session, SessionId,
    SessionStatus, archive::ArchiveContent,
};
use async_trait::async_trait;
use jiff::Timestamp;

/// Archives on record. An archive that is open, and a restore, hold their session: [`Session::operation`] says so, and
/// nothing else begins until they are over.
///
/// What runs an archive says by the attempt it claimed that it still does: somebody else may have taken it for lost and
/// claimed it since, and then what the former one says is refused (`None`, `false`).
#[async_trait]
pub trait Archives: Send + Sync {
    /// Opens an archive and holds its session, which must run no turn and be in a state that leads to `archived`.
    async fn open_archive(&self, archive: &Archive, origin: &Origin) -> StoreResult<ArchiveOpened>;

    /// Begins an attempt: the archive is due, or in progress and nobody runs it any more, which the caller knows. The
    /// answer is the archive with the number of this attempt and a key of its own; `None` if somebody else was faster, if the session has
    /// another home that lives, which has its files, or if another server that lives is at it. Only the session's home
    /// takes it from that one.
    async fn claim_archive(
        &self,
        archive: &Archive,
        server: ServerId,
        at: Timestamp,
    ) -> StoreResult<Option<Archive>>;

    /// Puts an attempt that failed off until `due_at`; the session stays held.
    async fn postpone_archive(
        &self,
        claimed: &Archive,
        error: &str,
        due_at: Timestamp,
        at: Timestamp,
    ) -> StoreResult<bool>;

    /// The archive is stored: it is completed, the session becomes `archived` and is let go, and what archives it had
    /// before are removed.
    async fn complete_archive(
        &self,
        claimed: &Archive,
        content: &ArchiveContent,
        at: Timestamp,
    ) -> StoreResult<Option<(Archive, Event)>>;

    /// The archive is given up, and the session let go as it was before.
    async fn fail_archive(
        &self,
        claimed: &Archive,
        error: &str,
        at: Timestamp,
    ) -> StoreResult<Option<(Archive, Event)>>;

    /// The session's newest archive, whatever became of it.
    async fn latest_archive(&self, session: SessionId) -> StoreResult<Option<Archive>>;

    /// One archive.
    async fn archive(&self, id: ArchiveId) -> StoreResult<Option<Archive>>;

    /// Archives that are due or in progress, oldest first, of sessions that no other server looks after, and that
    /// [`Archives::claim_archive`] would let this one have.
    async fn open_archives(&self, home: ServerId, now: Timestamp, limit: u32) -> StoreResult<Vec<Archive>>;

    /// Holds a session for being restored from `from`, the archive that is its newest, and makes `home` its home: it
    /// must be archived, wherever its home was, or idle where it lost what it had on disk.
    async fn open_restore(
        &self,
        session: SessionId,
        from: ArchiveId,
        home: ServerId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<RestoreOpened>;

    /// The session is restored and let go; one that was archived is `active`. `None` if it was not held for that.
    /// `working_directory` is where its own one is from now on.
    async fn finish_restore(
        &self,
        session: SessionId,
        from: ArchiveId,
        by: Generation,
        working_directory: Option<&str>,
        at: Timestamp,
    ) -> StoreResult<Option<(Session, Vec<Event>)>>;

    /// The session is let go as it was before. `None` if it was not held for that.
    async fn fail_restore(
        &self,
        session: SessionId,
        from: ArchiveId,
        by: Generation,
        error: &str,
        at: Timestamp,
    ) -> StoreResult<Option<Event>>;

    /// Sessions that are held for being restored and that no other server looks after.
    async fn open_restores(&self, home: ServerId, limit: u32) -> StoreResult<Vec<Session>>;

    /// Sessions that could be archived, in which nothing happened since `before` and nothing waits, and that no other
    /// server looks after; oldest first.
    async fn idle_sessions(&self, home: ServerId, before: Timestamp, limit: u32)
    -> StoreResult<Vec<Session>>;

    /// Completed archives from before `before`, and not removed.
    async fn expired_archives(&self, before: Timestamp, limit: u32) -> StoreResult<Vec<Archive>>;

    /// Removes an archive whose time is up, unless its session is held. A session that had nothing but this archive is
    /// terminated, and told why.
    async fn expire_archive(&self, id: ArchiveId, at: Timestamp) -> StoreResult<Option<Vec<Event>>>;

    /// What may still be in the archive store of archives that failed, were removed, or whose session is gone. What is
    /// on another server's disk is not among them. By id, from after that one on: some may not go for long, and keep no
    /// other.
    async fn objects_to_delete(
        &self,
        server: ServerId,
        after: Option<ArchiveId>,
        limit: u32,
    ) -> StoreResult<Vec<ArchiveObject>>;

    /// Nothing of the archive is in the store any more.
    async fn object_deleted(&self, id: ArchiveId) -> StoreResult<()>;

    /// Archived sessions of which something may still be on this server's disk besides the archive. One whose home is
    /// another server, also if that is gone, is not among them: what is left of it is there.
    async fn sessions_to_clean(&self, home: ServerId, limit: u32) -> StoreResult<Vec<Session>>;

    /// Nothing of the session is on disk any more, apart from this archive of it.
    async fn session_cleaned(&self, archive: ArchiveId) -> StoreResult<()>;

    /// What the archives on this server's disk take together, in bytes.
    async fn local_archive_bytes(&self, server: ServerId) -> StoreResult<u64>;
}

/// Where an archive was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveObject {
    pub archive: ArchiveId,
    pub place: ArchivePlace,
    /// Every name under which an attempt may have put it there.
    pub keys: Vec<String>,
}

/// What came of asking for an archive.
#[derive(Debug, Clone, PartialEq)]
pub enum ArchiveOpened {
    Opened(Box<Archive>, Event),
    /// One is under way.
    Open(Box<Archive>),
    /// It was in this state, from which it is not archived.
    Refused(SessionStatus),
    /// This held the session.
    Held(Operation),
    NoSession,
}

/// What came of asking for a restore.
#[derive(Debug, Clone, PartialEq)]
pub enum RestoreOpened {
    Opened(Box<Session>, Event),
    /// One is under way.
    Open(Box<Session>),
    /// It was in this state, from which it is not restored.
    Refused(SessionStatus),
    /// This held the session.
    Held(Operation),
    /// It is not archived, and has another home that lives, which has its files.
    Elsewhere,
    /// The archive is not the one that it can be restored from.
    NoArchive,
    NoSession,
}
