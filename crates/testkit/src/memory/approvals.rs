//! Approvals.

use super::{
    MemoryStore, Place, State,
    page::{Direction, instant_key, read_page},
    sessions::enter,
};
use async_trait::async_trait;
use domain::{
    Approval, ApprovalDecision, ApprovalId, ApprovalStatus, Event, EventKind, Generation, Origin, Page,
    PageRequest, Scope, SessionId, SessionMode, SessionStatus, TurnId, Verdict,
    audit::events,
    journal::data,
    ports::{Approvals, Decided, StoreResult},
    turn::{Enqueued, NewTurn, QueuePlace},
};
use jiff::Timestamp;

#[async_trait]
impl Approvals for MemoryStore {
    async fn open(&self, approval: &Approval, by: Generation) -> StoreResult<Option<Vec<Event>>> {
        let mut state = self.state();
        state.admit(approval.session_id, by)?;
        let found = state.sessions.get(&approval.session_id);
        let Some(session) = found.filter(|session| session.current_turn_id == Some(approval.turn_id)) else {
            return Ok(None);
        };
        let next = (session.status == SessionStatus::Processing).then_some(SessionStatus::WaitingUser);
        state.approvals.push(approval.clone());
        state.audit(events::approval_requested(approval))?;
        let data = data::approval_requested(approval);
        let place = place(approval, approval.created_at);
        Ok(Some(state.approval_event(place, EventKind::ApprovalRequested, data, next)))
    }

    async fn decide(
        &self,
        id: ApprovalId,
        decision: &ApprovalDecision,
        origin: &Origin,
    ) -> StoreResult<Option<Decided>> {
        let mut state = self.state();
        let Some(stored) = state.approvals.iter_mut().find(|approval| approval.id == id) else {
            return Ok(None);
        };
        let approval = match stored.clone().decide(decision) {
            Ok(approval) => approval,
            Err(stands) => return Ok(Some(Decided::Stands(stands))),
        };
        *stored = approval.clone();
        state.audit(events::approval_decided(&approval, origin, decision.at))?;
        let waits = state
            .approvals
            .iter()
            .any(|other| other.turn_id == approval.turn_id && other.status == ApprovalStatus::Pending);
        let session = state.sessions.get(&approval.session_id);
        let goes_on = session.is_some_and(|session| {
            session.status == SessionStatus::WaitingUser && session.current_turn_id == Some(approval.turn_id)
        });
        let next = (goes_on && !waits).then_some(SessionStatus::Processing);
        let data = data::approval_decided(&approval);
        let place = place(&approval, decision.at);
        let events = state.approval_event(place, EventKind::ApprovalDecided, data, next);
        Ok(Some(Decided::Now(Box::new(approval), events)))
    }

    async fn get(&self, session: SessionId, id: ApprovalId) -> StoreResult<Option<Approval>> {
        let found = self.state().approvals_where(|approval| approval.id == id).pop();
        Ok(found.filter(|approval| approval.session_id == session))
    }

    async fn list(
        &self,
        session: SessionId,
        status: Option<ApprovalStatus>,
        page: &PageRequest,
    ) -> StoreResult<Page<Approval>> {
        let passes = |approval: &Approval| {
            approval.session_id == session && status.is_none_or(|status| approval.status == status)
        };
        read_page("approvals", self.state().approvals_where(passes), key, Direction::Descending, page)
    }

    async fn pending(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<Approval>> {
        let passes = |approval: &Approval| {
            approval.status == ApprovalStatus::Pending && scope.covers(approval.user_id)
        };
        read_page("pending", self.state().approvals_where(passes), key, Direction::Descending, page)
    }

    async fn due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<Approval>> {
        let passes =
            |approval: &Approval| approval.status == ApprovalStatus::Pending && approval.expires_at <= now;
        let mut due = self.state().approvals_where(passes);
        due.truncate(limit as usize);
        Ok(due)
    }

    async fn deliver(&self, id: ApprovalId, by: Generation, at: Timestamp) -> StoreResult<bool> {
        let mut state = self.state();
        let found = state.approval_in(id, by);
        let found = found.filter(|approval| approval.delivered_at.is_none());
        Ok(found.map(|approval| approval.delivered_at = Some(at)).is_some())
    }

    async fn to_go_on(&self, limit: u32) -> StoreResult<Vec<Approval>> {
        let state = self.state();
        let mut found = state.approvals_where(|approval| {
            let session = state.sessions.get(&approval.session_id).filter(|session| {
                SessionStatus::READY.contains(&session.status)
                    && (session.current_turn_id, session.operation) == (None, None)
            });
            let is_yes = approval.verdict() == Some(Verdict::Allow);
            is_untold(approval)
                && session.is_some_and(|session| is_yes || session.mode == SessionMode::Background)
        });
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn tell(
        &self,
        session: SessionId,
        by: Generation,
        turn: TurnId,
        at: Timestamp,
    ) -> StoreResult<Vec<Approval>> {
        let mut state = self.state();
        state.admit(session, by)?;
        let mut told = Vec::new();
        for approval in &mut state.approvals {
            if approval.session_id == session && approval.turn_id != turn && is_untold(approval) {
                (approval.told_in, approval.delivered_at) = (Some(turn), Some(at));
                told.push(approval.clone());
            }
        }
        Ok(told)
    }

    async fn go_on(&self, id: ApprovalId, turn: &NewTurn) -> StoreResult<Option<Event>> {
        let mut state = self.state();
        let is_this = |approval: &Approval| approval.id == id && approval.delivered_at.is_none();
        let Some(index) = state.approvals.iter().position(is_this) else { return Ok(None) };
        let place = QueuePlace::Last { waiting_max: u32::MAX };
        let Enqueued::Queued { event, .. } = state.enqueue(turn, place, 0)? else { return Ok(None) };
        if let Some(approval) = state.approvals.get_mut(index) {
            (approval.told_in, approval.delivered_at) = (Some(turn.id), Some(turn.at));
        }
        Ok(Some(event))
    }

    async fn standing(&self, session: SessionId, turn: TurnId) -> StoreResult<Vec<Approval>> {
        Ok(self.state().approvals_where(|approval| {
            let remembered = approval.status == ApprovalStatus::Allowed && approval.remember;
            let told = approval.told_in == Some(turn) && approval.used_at.is_none();
            approval.session_id == session && (remembered || told)
        }))
    }

    async fn use_up(&self, id: ApprovalId, by: Generation, at: Timestamp) -> StoreResult<bool> {
        let mut state = self.state();
        let found = state.approval_in(id, by);
        let found = found.filter(|approval| approval.used_at.is_none());
        Ok(found.map(|approval| approval.used_at = Some(at)).is_some())
    }
}

impl State {
    /// The approval, if its session is in this generation.
    fn approval_in(&mut self, id: ApprovalId, by: Generation) -> Option<&mut Approval> {
        let sessions = &self.sessions;
        let admits = |id| sessions.get(&id).is_some_and(|session| session.generation == by);
        self.approvals.iter_mut().find(|approval| approval.id == id && admits(approval.session_id))
    }

    /// Oldest first, as they were opened.
    fn approvals_where(&self, passes: impl Fn(&Approval) -> bool) -> Vec<Approval> {
        self.approvals.iter().filter(|approval| passes(approval)).cloned().collect()
    }

    fn approval_event(
        &mut self,
        place: Place,
        kind: EventKind,
        data: serde_json::Value,
        next: Option<SessionStatus>,
    ) -> Vec<Event> {
        let mut events = vec![self.journal_data(place, kind, data)];
        if let (Some(next), Some(session)) = (next, self.sessions.get_mut(&place.session)) {
            let from = session.status;
            enter(session, next, place.at);
            events.push(self.journal_data(place, EventKind::StatusChange, data::status_change(from, next)));
        }
        events
    }
}

fn place(approval: &Approval, at: Timestamp) -> Place {
    Place { session: approval.session_id, turn: Some(approval.turn_id), at }
}

fn is_untold(approval: &Approval) -> bool {
    approval.status != ApprovalStatus::Pending && approval.delivered_at.is_none()
}

fn key(approval: &Approval) -> (i64, uuid::Uuid) {
    instant_key(approval.created_at, approval.id.0)
}
