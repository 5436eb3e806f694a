//! Sums over the ledger.

use super::StoreResult;
use crate::cost::{Activity, CostKey, CostQuery, CostSum};
use async_trait::async_trait;

/// What was spent, summed up.
#[async_trait]
pub trait Costs: Send + Sync {
    /// The sum over all requests of the query.
    async fn cost(&self, query: &CostQuery) -> StoreResult<CostSum>;

    /// The sums by key; the highest cost first, at most `limit` of them. By quarter of an hour: oldest first, all.
    async fn costs_by(
        &self,
        query: &CostQuery,
        key: CostKey,
        limit: u32,
    ) -> StoreResult<Vec<(String, CostSum)>>;

    /// What else happened.
    async fn activity(&self, query: &CostQuery) -> StoreResult<Activity>;
}
