//! Sessions by themselves.

use super::{
    MemoryStore, Place, State,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    AlertTopic, EventKind, Expected, Generation, Origin, Page, PageRequest, Scope, Session, SessionId,
    SessionStatus, Spender,
    audit::events,
    fork::{NewFork, Relative},
    journal::data,
    ports::{Moved, Purged, Sessions, StoreError, StoreResult},
    session::{SessionFilter, SessionPatch, SessionSort},
};
use jiff::Timestamp;

#[async_trait]
impl Sessions for MemoryStore {
    async fn create(&self, session: &Session, origin: &Origin) -> StoreResult<()> {
        let mut state = self.state();
        if state.sessions.contains_key(&session.id) {
            return Err(StoreError::Conflict { what: "a session of this id" });
        }
        state.sessions.insert(session.id, session.clone());
        if let Some(template) = session.template_id {
            state.count_use(template);
        }
        state.audit(events::session_created(session, origin))
    }

    async fn fork(&self, fork: &NewFork, origin: &Origin) -> StoreResult<()> {
        self.state().fork(fork, origin)
    }

    async fn family(&self, scope: Scope, id: SessionId, limit: u32) -> StoreResult<Vec<Relative>> {
        Ok(self.state().family(scope, id, limit as usize))
    }

    async fn get(&self, scope: Scope, id: SessionId) -> StoreResult<Option<Session>> {
        let state = self.state();
        Ok(state.sessions.get(&id).filter(|session| scope.covers(session.user_id)).cloned())
    }

    async fn list(
        &self,
        scope: Scope,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<Session>> {
        let found: Vec<Session> = {
            let state = self.state();
            let inside = state.sessions.values().filter(|session| scope.covers(session.user_id));
            inside.filter(|session| passes(filter, session)).cloned().collect()
        };
        let created = |session: &Session| instant_key(session.created_at, session.id.0);
        let changed = |session: &Session| instant_key(session.updated_at, session.id.0);
        match filter.sort {
            SessionSort::CreatedDescending => read_page("s1", found, created, Direction::Descending, page),
            SessionSort::CreatedAscending => read_page("s2", found, created, Direction::Ascending, page),
            SessionSort::UpdatedDescending => read_page("s3", found, changed, Direction::Descending, page),
            SessionSort::UpdatedAscending => read_page("s4", found, changed, Direction::Ascending, page),
        }
    }

    async fn patch(
        &self,
        scope: Scope,
        id: SessionId,
        patch: &SessionPatch,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<Session>> {
        let mut state = self.state();
        let found = state.sessions.get_mut(&id).filter(|session| scope.covers(session.user_id));
        let Some(session) = found else { return Ok(None) };
        expected.admit(&*session)?;
        *session = patch.apply(session.clone(), at);
        let patched = session.clone();
        state.audit(events::session_changed(id, patch, origin, at))?;
        Ok(Some(patched))
    }

    async fn move_to(
        &self,
        id: SessionId,
        by: Generation,
        to: SessionStatus,
        at: Timestamp,
    ) -> StoreResult<Moved> {
        let mut state = self.state();
        state.admit(id, by)?;
        state.move_to(id, &SessionStatus::predecessors(to), to, at)
    }

    async fn pause(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Moved> {
        let mut state = self.state();
        let to = SessionStatus::Paused;
        let moved = state.move_to(id, &SessionStatus::predecessors(to), to, at)?;
        if matches!(moved, Moved::Moved(..)) {
            state.audit(events::session_paused(id, origin, at))?;
        }
        Ok(moved)
    }

    async fn resume(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Moved> {
        let mut state = self.state();
        let moved = state.move_to(id, &SessionStatus::RESUMABLE, SessionStatus::Active, at)?;
        if matches!(moved, Moved::Moved(..)) {
            state.audit(events::session_resumed(id, origin, at))?;
        }
        Ok(moved)
    }

    async fn terminate(
        &self,
        id: SessionId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Moved> {
        let mut state = self.state();
        state.sessions.get(&id).map_or(Ok(()), |session| expected.admit(session))?;
        let to = SessionStatus::Terminated;
        let moved = state.move_to(id, &SessionStatus::predecessors(to), to, at)?;
        if matches!(moved, Moved::Moved(..)) {
            state.audit(events::session_terminated(id, origin, at))?;
        }
        Ok(moved)
    }

    async fn purge(&self, id: SessionId, at: Timestamp, origin: &Origin) -> StoreResult<Purged> {
        let mut state = self.state();
        let Some(session) = state.sessions.get(&id) else { return Ok(Purged::NoSession) };
        if !SessionStatus::REMOVABLE.contains(&session.status) || session.current_turn_id.is_some() {
            return Ok(Purged::Refused(session.status));
        }
        if let Some(gone) = state.sessions.remove(&id)
            && let Some(home) = gone.server_id
        {
            state.leftovers.insert(id, (home, gone.user_id));
        }
        state.turns.retain(|_, stored| stored.turn.session_id != id);
        state.journal.retain(|event| event.session_id != id);
        state.tool_calls.retain(|call| call.session_id != id);
        state.approvals.retain(|approval| approval.session_id != id);
        state.decisions.retain(|decision| decision.session_id != id);
        state.hook_runs.retain(|run| run.session_id != id);
        state.reports.retain(|(report, _)| report.session_id != id);
        state.snapshots.retain(|snapshot| snapshot.session_id != id);
        state.deliveries.retain(|delivery| delivery.session_id != Some(id));
        let its = Spender::Session(id);
        state.budgets.remove(&its);
        state.spend.retain(|(spender, _), _| *spender != its);
        state.forget_alerts(
            |alert| matches!(&alert.topic, AlertTopic::Budget { spender, .. } if *spender == its),
        );
        for fork in state.sessions.values_mut().filter(|fork| fork.parent_session_id == Some(id)) {
            fork.parent_session_id = None;
        }
        state.audit(events::session_purged(id, origin, at))?;
        Ok(Purged::Purged)
    }
}

impl State {
    fn move_to(
        &mut self,
        id: SessionId,
        expected: &[SessionStatus],
        to: SessionStatus,
        at: Timestamp,
    ) -> StoreResult<Moved> {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(Moved::NoSession) };
        if let Some(operation) = session.operation {
            return Ok(Moved::Held(operation));
        }
        let from = session.status;
        if !expected.contains(&from) {
            return Ok(Moved::Refused(from));
        }
        enter(session, to, at);
        let place = Place { session: id, turn: None, at };
        let event = self.journal_data(place, EventKind::StatusChange, data::status_change(from, to));
        let moved = self.sessions.get(&id).cloned();
        Ok(moved.map_or(Moved::NoSession, |session| Moved::Moved(Box::new(session), event)))
    }
}

/// Puts the session into a state.
pub(super) fn enter(session: &mut Session, status: SessionStatus, at: Timestamp) {
    session.status = status;
    // Only a turn that ends for want of money says otherwise.
    session.budget_paused_at = None;
    if status.completes() {
        session.completed_at = Some(at);
    } else if status == SessionStatus::Active {
        session.completed_at = None;
    }
}

fn passes(filter: &SessionFilter, session: &Session) -> bool {
    let contains = |text: &Option<String>, q: &str| {
        text.as_ref().is_some_and(|text| text.to_lowercase().contains(&q.to_lowercase()))
    };
    filter.status.is_none_or(|status| session.status == status)
        && filter.mode.is_none_or(|mode| session.mode == mode)
        && filter.parent_session_id.is_none_or(|parent| session.parent_session_id == Some(parent))
        && filter.template_id.is_none_or(|template| session.template_id == Some(template))
        && filter.created_after.is_none_or(|at| session.created_at > at)
        && filter.created_before.is_none_or(|at| session.created_at < at)
        && filter.q.as_deref().is_none_or(|q| contains(&session.name, q) || contains(&session.description, q))
}
