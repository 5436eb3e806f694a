//! Archives.

use super::{MemoryStore, Place, State, sessions::enter};
use async_trait::async_trait;
use domain::{
    Archive, ArchiveId, ArchivePlace, ArchiveStatus, Event, EventKind, Generation, Operation, Origin,
    ServerId, Session, SessionId, SessionStatus,
    archive::ArchiveContent,
    audit::events,
    journal::data,
    ports::{ArchiveObject, ArchiveOpened, Archives, RestoreOpened, StoreResult},
};
use jiff::Timestamp;
use serde_json::Value;

/// An archive, and what may be left of it and of its session.
#[derive(Debug)]
pub(super) struct StoredArchive {
    archive: Archive,
    has_object: bool,
    has_files: bool,
}

#[async_trait]
impl Archives for MemoryStore {
    async fn open_archive(&self, archive: &Archive, origin: &Origin) -> StoreResult<ArchiveOpened> {
        let mut state = self.state();
        let Some(session) = state.sessions.get(&archive.session_id) else {
            return Ok(ArchiveOpened::NoSession);
        };
        let open = |stored: &&StoredArchive| {
            stored.archive.session_id == archive.session_id && is_open(&stored.archive)
        };
        if let Some(open) = state.archives.iter().find(open) {
            return Ok(ArchiveOpened::Open(Box::new(open.archive.clone())));
        }
        if let Some(operation) = session.operation {
            return Ok(ArchiveOpened::Held(operation));
        }
        let may_be = session.status.successors().contains(&SessionStatus::Archived);
        if !may_be || session.current_turn_id.is_some() {
            return Ok(ArchiveOpened::Refused(session.status));
        }
        let archive = Archive { at_message: session.counters.messages, ..archive.clone() };
        let stored = StoredArchive { archive: archive.clone(), has_object: false, has_files: true };
        state.archives.push(stored);
        state.audit(events::archive_requested(&archive, origin))?;
        state.hold(archive.session_id, Some(Operation::Archiving));
        let event = state.notice(archive.session_id, archive.created_at, data::archive_opened(&archive));
        Ok(ArchiveOpened::Opened(Box::new(archive), event))
    }

    async fn claim_archive(
        &self,
        archive: &Archive,
        server: ServerId,
        at: Timestamp,
    ) -> StoreResult<Option<Archive>> {
        let mut state = self.state();
        if !state.is_looked_after_by(archive.session_id, server) || !state.is_free_for(archive, server) {
            return Ok(None);
        }
        let as_known = |known: &Archive| {
            is_open(known) && (known.status, known.attempt) == (archive.status, archive.attempt)
        };
        let Some(stored) = state.stored(archive.id).filter(|stored| as_known(&stored.archive)) else {
            return Ok(None);
        };
        stored.has_object = true;
        stored.archive = archive.clone().claimed(server, at);
        Ok(Some(stored.archive.clone()))
    }

    async fn postpone_archive(
        &self,
        claimed: &Archive,
        error: &str,
        due_at: Timestamp,
        at: Timestamp,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let Some(stored) = state.claimed(claimed) else { return Ok(false) };
        stored.archive = claimed.clone().postponed(error, due_at, at);
        Ok(true)
    }

    async fn complete_archive(
        &self,
        claimed: &Archive,
        content: &ArchiveContent,
        at: Timestamp,
    ) -> StoreResult<Option<(Archive, Event)>> {
        let mut state = self.state();
        let Some(stored) = state.claimed(claimed) else { return Ok(None) };
        let completed = claimed.clone().completed(content, at);
        stored.archive = completed.clone();
        for older in state.archives.iter_mut().map(|stored| &mut stored.archive) {
            let is_of_session = older.session_id == claimed.session_id && older.id != claimed.id;
            if is_of_session && older.is_restorable() {
                older.removed_at = Some(at);
            }
        }
        state.audit(events::archive_completed(&completed, content, at))?;
        state.hold(claimed.session_id, None);
        if let Some(session) = state.sessions.get_mut(&claimed.session_id) {
            session.archive_id = Some(claimed.id);
        }
        let event = state.change(claimed.session_id, SessionStatus::Archived, at);
        Ok(event.map(|event| (completed, event)))
    }

    async fn fail_archive(
        &self,
        claimed: &Archive,
        error: &str,
        at: Timestamp,
    ) -> StoreResult<Option<(Archive, Event)>> {
        let mut state = self.state();
        let Some(stored) = state.claimed(claimed) else { return Ok(None) };
        let failed = claimed.clone().failed(error, at);
        stored.archive = failed.clone();
        state.audit(events::archive_failed(&failed, at))?;
        state.hold(claimed.session_id, None);
        let event = state.notice(claimed.session_id, at, data::archive_failed(claimed, error));
        Ok(Some((failed, event)))
    }

    async fn latest_archive(&self, session: SessionId) -> StoreResult<Option<Archive>> {
        let state = self.state();
        let archives = state.archives.iter().map(|stored| &stored.archive);
        let its = archives.filter(|archive| archive.session_id == session);
        Ok(its.max_by_key(|archive| (archive.created_at, archive.id)).cloned())
    }

    async fn archive(&self, id: ArchiveId) -> StoreResult<Option<Archive>> {
        Ok(self.state().stored(id).map(|stored| stored.archive.clone()))
    }

    async fn open_archives(&self, home: ServerId, now: Timestamp, limit: u32) -> StoreResult<Vec<Archive>> {
        let state = self.state();
        let due = |archive: &Archive| {
            let is_due = archive.status == ArchiveStatus::InProgress
                || (archive.status == ArchiveStatus::Pending && archive.due_at <= now);
            is_due && state.is_looked_after_by(archive.session_id, home) && state.is_free_for(archive, home)
        };
        Ok(state.archives_where(due, |archive| archive.created_at, limit))
    }

    async fn open_restore(
        &self,
        id: SessionId,
        from: ArchiveId,
        home: ServerId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<RestoreOpened> {
        let mut state = self.state();
        let Some(session) = state.sessions.get(&id).cloned() else { return Ok(RestoreOpened::NoSession) };
        match session.operation {
            Some(Operation::Restoring) => return Ok(RestoreOpened::Open(Box::new(session))),
            Some(operation @ Operation::Archiving) => return Ok(RestoreOpened::Held(operation)),
            None => {}
        }
        let is_idle = !session.status.is_busy() && session.current_turn_id.is_none();
        if !is_idle || session.status == SessionStatus::Terminated {
            return Ok(RestoreOpened::Refused(session.status));
        }
        let is_archived = session.status == SessionStatus::Archived;
        if !is_archived && !state.is_looked_after_by(id, home) {
            return Ok(RestoreOpened::Elsewhere);
        }
        let is_its = |archive: &Archive| archive.session_id == id && archive.is_restorable();
        if !state.stored(from).is_some_and(|stored| is_its(&stored.archive)) {
            return Ok(RestoreOpened::NoArchive);
        }
        state.audit(events::restore_requested(id, from, origin, at))?;
        state.hold(id, Some(Operation::Restoring));
        state.move_home(id, home);
        let event = state.notice(id, at, data::restore_opened(from));
        let held = state.sessions.get(&id).cloned();
        Ok(held.map_or(RestoreOpened::NoSession, |held| RestoreOpened::Opened(Box::new(held), event)))
    }

    async fn finish_restore(
        &self,
        id: SessionId,
        from: ArchiveId,
        by: Generation,
        working_directory: Option<&str>,
        at: Timestamp,
    ) -> StoreResult<Option<(Session, Vec<Event>)>> {
        let mut state = self.state();
        let Some(session) = state.restoring(id, by)? else { return Ok(None) };
        if let (Some(session), Some(path)) = (state.sessions.get_mut(&id), working_directory) {
            path.clone_into(&mut session.spec.working_directory);
            if let Some(home) = session.server_id {
                session.spec.whereabouts.move_to(home, session.counters.messages);
            }
        }
        state.hold(id, None);
        state.audit(events::session_restored(id, from, at))?;
        let mut told = vec![state.notice(id, at, data::restored(from))];
        if session.status == SessionStatus::Archived {
            told.extend(state.change(id, SessionStatus::Active, at));
        }
        Ok(state.sessions.get(&id).cloned().map(|session| (session, told)))
    }

    async fn fail_restore(
        &self,
        id: SessionId,
        from: ArchiveId,
        by: Generation,
        error: &str,
        at: Timestamp,
    ) -> StoreResult<Option<Event>> {
        let mut state = self.state();
        if state.restoring(id, by)?.is_none() {
            return Ok(None);
        }
        state.hold(id, None);
        Ok(Some(state.notice(id, at, data::restore_failed(from, error))))
    }

    async fn open_restores(&self, home: ServerId, limit: u32) -> StoreResult<Vec<Session>> {
        let state = self.state();
        let held = state.sessions.values().filter(|held| {
            held.operation == Some(Operation::Restoring) && state.is_looked_after_by(held.id, home)
        });
        Ok(held.take(limit as usize).cloned().collect())
    }

    async fn idle_sessions(
        &self,
        home: ServerId,
        before: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Session>> {
        let state = self.state();
        let may_be = |session: &&Session| {
            session.status.successors().contains(&SessionStatus::Archived)
                && session.status != SessionStatus::Terminated
                && (session.current_turn_id, session.operation) == (None, None)
                && session.updated_at <= before
                && state.queue(session.id).is_empty()
                && state.is_looked_after_by(session.id, home)
        };
        let mut idle: Vec<Session> = state.sessions.values().filter(may_be).cloned().collect();
        idle.sort_by_key(|session| (session.updated_at, session.id));
        idle.truncate(limit as usize);
        Ok(idle)
    }

    async fn expired_archives(&self, before: Timestamp, limit: u32) -> StoreResult<Vec<Archive>> {
        let expired = |archive: &Archive| {
            archive.is_restorable() && archive.archived_at.is_some_and(|archived| archived <= before)
        };
        let since = |archive: &Archive| archive.archived_at.unwrap_or(archive.created_at);
        Ok(self.state().archives_where(expired, since, limit))
    }

    async fn expire_archive(&self, id: ArchiveId, at: Timestamp) -> StoreResult<Option<Vec<Event>>> {
        let mut state = self.state();
        let Some(archive) = state.stored(id).map(|stored| stored.archive.clone()) else { return Ok(None) };
        let Some(session) = state.sessions.get_mut(&archive.session_id) else { return Ok(None) };
        if session.operation.is_some() || !archive.is_restorable() {
            return Ok(None);
        }
        session.archive_id = None;
        let was_archived = session.status == SessionStatus::Archived;
        if let Some(stored) = state.stored(id) {
            stored.archive.removed_at = Some(at);
        }
        state.audit(events::archive_expired(&archive, at))?;
        let mut told = vec![state.notice(archive.session_id, at, data::archive_expired(&archive))];
        if was_archived {
            told.extend(state.change(archive.session_id, SessionStatus::Terminated, at));
        }
        Ok(Some(told))
    }

    async fn objects_to_delete(
        &self,
        server: ServerId,
        after: Option<ArchiveId>,
        limit: u32,
    ) -> StoreResult<Vec<ArchiveObject>> {
        let state = self.state();
        let useless = state.archives.iter().filter(|stored| {
            let archive = &stored.archive;
            let is_useless = archive.status == ArchiveStatus::Failed || archive.removed_at.is_some();
            stored.has_object && is_useless && archive.is_within_reach_of(server)
        });
        let object = |stored: &StoredArchive| ArchiveObject {
            archive: stored.archive.id,
            place: stored.archive.place,
            keys: stored.archive.keys(),
        };
        let mut useless: Vec<_> = useless.map(object).collect();
        useless.sort_by_key(|object| object.archive);
        useless.retain(|object| after.is_none_or(|after| object.archive > after));
        useless.truncate(limit as usize);
        Ok(useless)
    }

    async fn object_deleted(&self, id: ArchiveId) -> StoreResult<()> {
        if let Some(stored) = self.state().stored(id) {
            stored.has_object = false;
        }
        Ok(())
    }

    async fn sessions_to_clean(&self, home: ServerId, limit: u32) -> StoreResult<Vec<Session>> {
        let state = self.state();
        let has_files = |id: Option<ArchiveId>| {
            state.archives.iter().any(|stored| Some(stored.archive.id) == id && stored.has_files)
        };
        let unclean = state.sessions.values().filter(|session| {
            (session.status, session.operation) == (SessionStatus::Archived, None)
                && has_files(session.archive_id)
                && session.server_id.is_none_or(|present| present == home)
        });
        Ok(unclean.take(limit as usize).cloned().collect())
    }

    async fn session_cleaned(&self, archive: ArchiveId) -> StoreResult<()> {
        if let Some(stored) = self.state().stored(archive) {
            stored.has_files = false;
        }
        Ok(())
    }

    async fn local_archive_bytes(&self, server: ServerId) -> StoreResult<u64> {
        let state = self.state();
        let local = |stored: &&StoredArchive| {
            let is_local = stored.archive.place == ArchivePlace::Local;
            stored.has_object && is_local && stored.archive.server_id == Some(server)
        };
        let sizes = state.archives.iter().filter(local).filter_map(|stored| stored.archive.content.as_ref());
        Ok(sizes.map(|content| content.size_bytes).sum())
    }
}

impl State {
    fn stored(&mut self, id: ArchiveId) -> Option<&mut StoredArchive> {
        self.archives.iter_mut().find(|stored| stored.archive.id == id)
    }

    fn claimed(&mut self, claimed: &Archive) -> Option<&mut StoredArchive> {
        self.stored(claimed.id).filter(|stored| stored.archive.is_claimed_as(claimed))
    }

    fn is_free_for(&self, archive: &Archive, server: ServerId) -> bool {
        let home = self.sessions.get(&archive.session_id).and_then(|session| session.server_id);
        archive.status != ArchiveStatus::InProgress
            || home == Some(server)
            || archive.server_id.is_none_or(|by| by == server || !self.lives(by))
    }

    fn restoring(&self, id: SessionId, by: Generation) -> StoreResult<Option<Session>> {
        let session = self.sessions.get(&id);
        let held = session.filter(|session| session.operation == Some(Operation::Restoring)).cloned();
        if held.is_some() {
            self.admit(id, by)?;
        }
        Ok(held)
    }

    fn hold(&mut self, id: SessionId, operation: Option<Operation>) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.operation = operation;
        }
    }

    fn notice(&mut self, session: SessionId, at: Timestamp, notice: Value) -> Event {
        self.journal_data(Place { session, turn: None, at }, EventKind::Notice, notice)
    }

    /// Moves the session to another state, which its archive decided.
    fn change(&mut self, session: SessionId, to: SessionStatus, at: Timestamp) -> Option<Event> {
        let found = self.sessions.get_mut(&session)?;
        let from = found.status;
        enter(found, to, at);
        let place = Place { session, turn: None, at };
        Some(self.journal_data(place, EventKind::StatusChange, data::status_change(from, to)))
    }

    fn archives_where<K: Ord>(
        &self,
        passes: impl Fn(&Archive) -> bool,
        since: impl Fn(&Archive) -> K,
        limit: u32,
    ) -> Vec<Archive> {
        let archives = self.archives.iter().map(|stored| &stored.archive);
        let mut found: Vec<Archive> = archives.filter(|archive| passes(archive)).cloned().collect();
        found.sort_by_key(|archive| (since(archive), archive.id));
        found.truncate(limit as usize);
        found
    }
}

fn is_open(archive: &Archive) -> bool {
    matches!(archive.status, ArchiveStatus::Pending | ArchiveStatus::InProgress)
}
