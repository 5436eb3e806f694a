//! Decisions about tool calls.

use super::{
    MemoryStore, Place,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    DecisionFilter, Event, EventKind, Generation, Page, PageRequest, PermissionDecision, SessionId,
    audit::events,
    journal::data,
    ports::{Decisions, StoreError, StoreResult},
};
use jiff::Timestamp;

#[async_trait]
impl Decisions for MemoryStore {
    async fn record_decision(&self, decision: &PermissionDecision, by: Generation) -> StoreResult<Event> {
        let mut state = self.state();
        state.admit(decision.session_id, by)?;
        let Some(session) = state.sessions.get_mut(&decision.session_id) else {
            return Err(StoreError::Inconsistent { table: "permission_decisions", column: "session_id" });
        };
        session.counters.permission_checks += 1;
        state.decisions.push(decision.clone());
        if let Some(event) = events::decision(decision) {
            state.audit(event)?;
        }
        let place = Place { session: decision.session_id, turn: decision.turn_id, at: decision.decided_at };
        Ok(state.journal_data(place, EventKind::PermissionDecision, data::permission_decision(decision)))
    }

    async fn decisions(
        &self,
        session: SessionId,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>> {
        let passes = |decision: &PermissionDecision| {
            decision.session_id == session
                && filter.decision.is_none_or(|verdict| decision.opinion.verdict == verdict)
                && filter.tool_name.as_ref().is_none_or(|name| decision.tool_name == *name)
        };
        newest_first("decisions", self.decisions_where(passes), page)
    }

    async fn decisions_since(
        &self,
        since: Timestamp,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>> {
        let recent = self.decisions_where(|decision| decision.decided_at >= since);
        newest_first("decisions-since", recent, page)
    }
}

impl MemoryStore {
    fn decisions_where(&self, passes: impl Fn(&PermissionDecision) -> bool) -> Vec<PermissionDecision> {
        self.state().decisions.iter().filter(|decision| passes(decision)).cloned().collect()
    }
}

fn newest_first(
    list: &str,
    decisions: Vec<PermissionDecision>,
    page: &PageRequest,
) -> StoreResult<Page<PermissionDecision>> {
    let key = |decision: &PermissionDecision| instant_key(decision.decided_at, decision.id.0);
    read_page(list, decisions, key, Direction::Descending, page)
}
