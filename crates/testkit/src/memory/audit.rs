//! The audit log.

use super::{MemoryStore, State};
use async_trait::async_trait;
use domain::{
    AuditEntry, AuditEvent, AuditFilter, AuditHead,
    ports::{Audit, StoreError, StoreResult},
};

#[async_trait]
impl Audit for MemoryStore {
    async fn append(&self, events: &[AuditEvent]) -> StoreResult<AuditHead> {
        let mut state = self.state();
        for event in events {
            state.audit(event.clone())?;
        }
        Ok(state.audit_head())
    }

    async fn entries_after(
        &self,
        seq: u64,
        limit: u32,
        filter: &AuditFilter,
    ) -> StoreResult<Vec<AuditEntry>> {
        let state = self.state();
        let shown = state.audit.iter().filter(|entry| entry.seq > seq && filter.passes(&entry.event));
        Ok(shown.take(limit as usize).cloned().collect())
    }

    async fn head(&self) -> StoreResult<AuditHead> {
        Ok(self.state().audit_head())
    }
}

impl State {
    /// Chains the event to the log.
    pub(super) fn audit(&mut self, event: AuditEvent) -> StoreResult<()> {
        let entry = AuditEntry::following(self.audit_head(), event, None)
            .map_err(|error| StoreError::Failed(Box::new(error)))?;
        self.audit.push(entry);
        Ok(())
    }

    fn audit_head(&self) -> AuditHead {
        self.audit.last().map_or(AuditHead::EMPTY, AuditEntry::head)
    }
}
