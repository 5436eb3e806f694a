//! Snapshots of sessions' figures.

use super::StoreResult;
use crate::{MetricsSnapshot, Page, PageRequest, SessionId};
use async_trait::async_trait;
use jiff::Timestamp;

/// How sessions' figures went.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// Keeps these, in one unit of work. Those of sessions that were removed meanwhile are passed over.
    async fn record_snapshots(&self, snapshots: &[MetricsSnapshot]) -> StoreResult<()>;

    /// A session's snapshots, newest first.
    async fn snapshots(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<MetricsSnapshot>>;

    /// Removes at most `limit` that are older, and answers with how many went.
    async fn prune_snapshots(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;
}
