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
    async fn requests(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<RequestUsage>> {
        let requests = self.state().requests.clone();
        let requests = requests.into_iter().filter(|usage| usage.session_id == session).collect();
        let key = |usage: &RequestUsage| instant_key(usage.started_at, usage.id.0);
        read_page("requests", requests, key, Direction::Descending, page)
    }
}
