//! Snapshots of sessions' figures, and what there is of sessions at all.

use super::StoreResult;
use crate::{MetricsSnapshot, Page, PageRequest, SessionId, SessionMode, SessionStatus};
use async_trait::async_trait;
use jiff::Timestamp;

/// How sessions' figures are and how they went.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// The figures of these sessions as they are at `at`, which is now; nothing is kept. Sessions that are not there are
    /// passed over.
    async fn measure(&self, sessions: &[SessionId], at: Timestamp) -> StoreResult<Vec<MetricsSnapshot>>;

    /// Keeps these, in one unit of work. Those of sessions that were removed meanwhile are passed over.
    async fn record_snapshots(&self, snapshots: &[MetricsSnapshot]) -> StoreResult<()>;

    /// A session's snapshots, newest first.
    async fn snapshots(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<MetricsSnapshot>>;

    /// Removes at most `limit` that are older, and answers with how many went.
    async fn prune_snapshots(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;

    /// How many sessions there are of each mode in each state; kinds without any may be left out.
    async fn census(&self) -> StoreResult<Vec<(SessionMode, SessionStatus, u64)>>;
}
