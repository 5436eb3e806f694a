//! The ledger.

use super::{
    MemoryStore,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    Page, PageRequest, RequestUsage, SessionId,
    ports::{Ledger, StoreResult},
};

#[async_trait]
impl Ledger for MemoryStore {
    async fn book(&self, usage: &RequestUsage) -> StoreResult<()> {
        let mut state = self.state();
        if state.requests.iter().any(|booked| booked.id == usage.id) {
            return Ok(());
        }
        state.requests.push(usage.clone());
        if let Some(session) = state.sessions.get_mut(&usage.session_id) {
            session.counters.tokens = session.counters.tokens + usage.tokens;
            session.counters.cost = session.counters.cost + usage.cost;
        }
        let turn = usage.turn_id.and_then(|id| state.turns.get_mut(&id));
        if let Some(stored) = turn {
            stored.turn.tokens = stored.turn.tokens + usage.tokens;
            stored.turn.cost = stored.turn.cost + usage.cost;
        }
        Ok(())
    }

    async fn requests(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<RequestUsage>> {
        let requests = self.state().requests.clone();
        let requests = requests.into_iter().filter(|usage| usage.session_id == session).collect();
        let key = |usage: &RequestUsage| instant_key(usage.started_at, usage.id.0);
        read_page("requests", requests, key, Direction::Descending, page)
    }
}
