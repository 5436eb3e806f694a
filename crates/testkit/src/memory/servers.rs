//! Servers, their leases by the system's clock, and the sessions that hang on them.

use super::{MemoryStore, Place, State};
use async_trait::async_trait;
use domain::{
    Clock, Event, EventKind, Generation, ServerId, Session, SessionId, SessionStatus, SystemClock, TurnId,
    UserId,
    ports::{Renewed, Servers, Standing, StoreError, StoreResult},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Duration;

#[async_trait]
impl Servers for MemoryStore {
    async fn renew(&self, server: ServerId, lease: Duration) -> StoreResult<Renewed> {
        let mut state = self.state();
        let had_lapsed = !state.lives(server);
        let lease = SignedDuration::try_from(lease).unwrap_or(SignedDuration::MAX);
        let now = SystemClock.now();
        state.servers.insert(server, now.saturating_add(lease).unwrap_or(now));
        Ok(Renewed { had_lapsed, others: state.others(server) })
    }

    async fn resign(&self, server: ServerId) -> StoreResult<()> {
        self.state().servers.remove(&server);
        Ok(())
    }

    async fn others(&self, server: ServerId) -> StoreResult<Vec<ServerId>> {
        Ok(self.state().others(server))
    }

    async fn take_over(
        &self,
        session: SessionId,
        home: ServerId,
        at: Timestamp,
    ) -> StoreResult<Option<Generation>> {
        let mut state = self.state();
        if !state.is_looked_after_by(session, home) {
            return Ok(None);
        }
        let found = state.sessions.get_mut(&session);
        Ok(found.map(|session| {
            (session.server_id, session.updated_at) = (Some(home), at);
            session.generation = session.generation.next();
            session.generation
        }))
    }

    async fn leave(&self, session: SessionId, by: Generation) -> StoreResult<()> {
        let mut state = self.state();
        state.admit(session, by)?;
        if let Some(session) = state.sessions.get_mut(&session) {
            (session.server_id, session.generation) = (None, by.next());
        }
        Ok(())
    }

    async fn terminated(&self, home: ServerId, limit: u32) -> StoreResult<Vec<Session>> {
        let state = self.state();
        let terminated = state.sessions.values().filter(|session| {
            session.status == SessionStatus::Terminated
                && session.server_id == Some(home)
                && session.current_turn_id.is_none()
        });
        Ok(terminated.take(limit as usize).cloned().collect())
    }

    async fn leftovers(&self, home: ServerId, limit: u32) -> StoreResult<Vec<(SessionId, UserId)>> {
        let state = self.state();
        let theirs = state.leftovers.iter().filter(|(_, (server, _))| *server == home);
        Ok(theirs.map(|(session, (_, user))| (*session, *user)).take(limit as usize).collect())
    }

    async fn forget_leftover(&self, session: SessionId) -> StoreResult<()> {
        self.state().leftovers.remove(&session);
        Ok(())
    }

    async fn relocate(
        &self,
        session: SessionId,
        by: Generation,
        working_directory: &str,
        notice: Value,
        at: Timestamp,
    ) -> StoreResult<(Session, Event)> {
        let mut state = self.state();
        state.admit(session, by)?;
        let gone = || StoreError::Inconsistent { table: "sessions", column: "id" };
        let moved = state.sessions.get_mut(&session).ok_or_else(gone)?;
        let home =
            moved.server_id.ok_or(StoreError::Inconsistent { table: "sessions", column: "server_id" })?;
        working_directory.clone_into(&mut moved.spec.working_directory);
        moved.spec.whereabouts.move_to(home, moved.counters.messages);
        let place = Place { session, turn: moved.current_turn_id, at };
        let event = state.journal_data(place, EventKind::Notice, notice);
        let moved = state.sessions.get(&session).ok_or_else(gone)?;
        Ok((moved.clone(), event))
    }

    async fn request_stop(&self, session: SessionId, turn: TurnId) -> StoreResult<()> {
        let mut state = self.state();
        if state.sessions.get(&session).is_some_and(|session| session.current_turn_id == Some(turn)) {
            state.stop_requests.insert(session, turn);
        }
        Ok(())
    }

    async fn standings(&self, sessions: &[SessionId]) -> StoreResult<Vec<Standing>> {
        let state = self.state();
        let found = sessions.iter().filter_map(|id| state.sessions.get(id));
        let standing = |session: &Session| Standing {
            session_id: session.id,
            status: session.status,
            home: session.server_id,
            generation: session.generation,
            current_turn_id: session.current_turn_id,
            stop_requested: state.stop_requests.get(&session.id).copied(),
        };
        Ok(found.map(standing).collect())
    }
}

impl State {
    /// Goes on only for who writes in the session's present generation; what is not there refuses in its own way.
    pub(super) fn admit(&self, session: SessionId, by: Generation) -> StoreResult<()> {
        match self.sessions.get(&session) {
            Some(session) if session.generation != by => Err(StoreError::Fenced),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes `home` the session's home, unless another one lives.
    pub(super) fn claim(&mut self, session: SessionId, home: ServerId) -> bool {
        if !self.is_looked_after_by(session, home) {
            return false;
        }
        self.move_home(session, home);
        true
    }

    /// Makes `home` the session's home, whether another one lives or not.
    pub(super) fn move_home(&mut self, session: SessionId, home: ServerId) {
        if let Some(session) = self.sessions.get_mut(&session) {
            if session.server_id.is_some_and(|present| present != home) {
                session.generation = session.generation.next();
            }
            session.server_id = Some(home);
        }
    }

    /// Whether no other server that lives is the session's home.
    pub(super) fn is_looked_after_by(&self, session: SessionId, home: ServerId) -> bool {
        let present = self.sessions.get(&session).and_then(|session| session.server_id);
        present.is_none_or(|present| present == home || !self.lives(present))
    }

    pub(super) fn lives(&self, server: ServerId) -> bool {
        self.servers.get(&server).is_some_and(|until| *until > SystemClock.now())
    }

    fn others(&self, server: ServerId) -> Vec<ServerId> {
        self.servers.keys().copied().filter(|other| *other != server && self.lives(*other)).collect()
    }
}
