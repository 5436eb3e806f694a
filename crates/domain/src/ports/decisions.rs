//! What was decided about tool calls, on record before the agent learns of it.

use super::StoreResult;
use crate::{DecisionFilter, Event, Generation, Page, PageRequest, PermissionDecision, SessionId};
use async_trait::async_trait;
use jiff::Timestamp;

/// The decisions of all sessions.
#[async_trait]
pub trait Decisions: Send + Sync {
    /// Stores a decision, counts it on its session, and journals it as `permission_decision`.
    async fn record_decision(&self, decision: &PermissionDecision, by: Generation) -> StoreResult<Event>;

    /// A session's decisions that pass the filter, newest first.
    async fn decisions(
        &self,
        session: SessionId,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>>;

    /// The decisions of all sessions from `since` on, newest first: what a changed policy is tried on.
    async fn decisions_since(
        &self,
        since: Timestamp,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>>;
}
