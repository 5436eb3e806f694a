//! The audit log: one chain for the whole store.

use super::StoreResult;
use crate::{AuditEntry, AuditEvent, AuditFilter, AuditHead};
use async_trait::async_trait;

/// The audit log. Other ports add to it what they do, in the same unit of work; this one adds what no row shows.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Chains the events to the log, in order, and answers with its new head.
    async fn append(&self, events: &[AuditEvent]) -> StoreResult<AuditHead>;

    /// Entries after `seq` that pass the filter, oldest first, at most `limit`.
    ///
    /// One that makes no sense ends the answer, and is an error if it is the first: whoever reads on learns where the
    /// log is damaged, and everything before it.
    async fn entries_after(&self, seq: u64, limit: u32, filter: &AuditFilter)
    -> StoreResult<Vec<AuditEntry>>;

    /// The end of the chain, as the store notes it beside the entries.
    async fn head(&self) -> StoreResult<AuditHead>;
}
