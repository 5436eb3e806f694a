//! How much there is of everything.

use super::MemoryStore;
use async_trait::async_trait;
use domain::{
    Session,
    ports::{ACTIVE, ServerStats, Stats, StoreResult},
};
use jiff::Timestamp;

#[async_trait]
impl Stats for MemoryStore {
    async fn stats(&self, since: Timestamp, at: Timestamp) -> StoreResult<ServerStats> {
        let state = self.state();
        let users = || state.users.iter().filter(|new| !new.user.is_erased());
        let sessions = |passes: &dyn Fn(&Session) -> bool| {
            state.sessions.values().filter(|session| passes(session)).count() as u64
        };
        let requests = || state.requests.iter().filter(|usage| usage.started_at >= since);
        Ok(ServerStats {
            users: users().count() as u64,
            active_users: users().filter(|new| new.user.is_active).count() as u64,
            sessions: sessions(&|_| true),
            active_sessions: sessions(&|session| ACTIVE.contains(&session.status)),
            running_sessions: sessions(&|session| session.status.is_busy()),
            sessions_since: sessions(&|session| session.created_at >= since),
            requests_since: requests().count() as u64,
            cost_since: requests().map(|usage| usage.cost).sum(),
            since,
            at,
        })
    }
}
