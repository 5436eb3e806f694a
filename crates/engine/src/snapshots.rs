//! Snapshots of sessions' figures: at intervals of those in which something happened, and at each session's end.

use crate::{Error, Result, SessionManager};
use domain::{Caller, MetricsSnapshot, Page, PageRequest, SessionId};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Sessions that are measured and stored in one unit of work.
const BATCH_MAX: usize = 200;
/// Old snapshots that are removed in one unit of work.
const PRUNED_MAX: u32 = 1000;

impl SessionManager {
    /// A session's figures as they are now.
    pub async fn measure(&self, caller: &Caller, id: SessionId) -> Result<MetricsSnapshot> {
        self.load(caller.scope(), id).await?;
        let measured = self.inner.stores.snapshots.measure(&[id], self.inner.clock.now()).await?;
        measured.into_iter().next().ok_or(Error::NotFound("session"))
    }

    /// How a session's figures went, newest first.
    pub async fn snapshots(
        &self,
        caller: &Caller,
        id: SessionId,
        page: &PageRequest,
    ) -> Result<Page<MetricsSnapshot>> {
        self.load(caller.scope(), id).await?;
        Ok(self.inner.stores.snapshots.snapshots(id, page).await?)
    }

    /// Takes snapshots until cancelled.
    pub(crate) async fn keep_snapshots(&self, cancelled: CancellationToken) {
        let mut ticks = tokio::time::interval(self.inner.settings.snapshots.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while cancelled.run_until_cancelled(ticks.tick()).await.is_some() {
            self.snapshot_changed().await;
            if let Err(error) = self.prune_snapshots().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old snapshots could not be removed"
                );
            }
        }
    }

    /// Of every session in which something happened since its last one.
    pub(crate) async fn snapshot_changed(&self) {
        let changed = self.inner.feed.take_changed();
        let mut batches = changed.chunks(BATCH_MAX);
        while let Some(batch) = batches.next() {
            if let Err(error) = self.snapshot(batch).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "snapshots wait for the store");
                for session in batch.iter().chain(batches.by_ref().flatten()) {
                    self.inner.feed.note_changed(*session);
                }
                return;
            }
        }
    }

    /// Of a session that has just ended.
    pub(crate) async fn snapshot_last(&self, id: SessionId) {
        // Before it is measured: what changes from now on is for the next round.
        self.inner.feed.forget_changed(id);
        if let Err(error) = self.snapshot(&[id]).await {
            tracing::debug!(session_id = %id, %error, "the last snapshot of a session waits for the store");
            self.inner.feed.note_changed(id);
        }
    }

    async fn snapshot(&self, sessions: &[SessionId]) -> Result<()> {
        let inner = &self.inner;
        let store = inner.stores.snapshots.as_ref();
        inner.metrics.create_snapshot(store, sessions, inner.clock.now()).await?;
        Ok(())
    }

    async fn prune_snapshots(&self) -> Result<()> {
        let Some(retention) = self.inner.settings.snapshots.retention else { return Ok(()) };
        let before = self.inner.clock.now() - retention;
        while self.inner.stores.snapshots.prune_snapshots(before, PRUNED_MAX).await? == u64::from(PRUNED_MAX)
        {
            // Others write in between.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}
