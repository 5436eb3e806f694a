//! How much there is of everything, looked at in the background and noted for whoever scrapes.

use crate::{Result, SessionManager, live::Pool};
use domain::{PageRequest, Scope, Total};
use jiff::Timestamp;
use monitoring::AgentLevels;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How often it is looked at what is in memory.
const MEMORY_INTERVAL: Duration = Duration::from_secs(2);
/// How often it is looked at what is in the store.
const STORE_INTERVAL: Duration = Duration::from_secs(5);
/// How often the process table is read, and the sessions are counted.
const SLOW_INTERVAL: Duration = Duration::from_secs(10);
/// A look that took long is followed by a pause this many times as long.
const PAUSE_FACTOR: u32 = 50;

impl Pool {
    fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Background => "background",
        }
    }
}

impl SessionManager {
    /// Notes levels until cancelled. What the store does not answer stays as it was.
    pub(crate) async fn keep_levels(&self, cancelled: CancellationToken) {
        if self.inner.metrics.scrape().is_none() {
            return;
        }
        let looking = async {
            tokio::join!(
                self.look_at_agents(),
                self.look_at_agents_memory(),
                self.look_at_store(),
                self.count_sessions()
            )
        };
        cancelled.run_until_cancelled(looking).await;
    }

    async fn look_at_agents(&self) {
        loop {
            let (seats, idle) = (self.inner.live.count(), self.inner.live.idle().len());
            self.inner.metrics.note_agents(AgentLevels { seats: seats as u64, idle: idle as u64 });
            sleep(MEMORY_INTERVAL).await;
        }
    }

    async fn look_at_agents_memory(&self) {
        loop {
            let began = Instant::now();
            let marker = self.inner.settings.agent.host_marker.clone();
            match tokio::task::spawn_blocking(move || sdk_runtime::memory_of_agents(&marker)).await {
                Ok(Ok(agents)) => self.inner.metrics.note_agent_memory(&agents),
                Ok(Err(error)) => tracing::debug!(%error, "the agents' memory could not be measured"),
                Err(_) => {}
            }
            sleep(SLOW_INTERVAL.max(began.elapsed() * PAUSE_FACTOR)).await;
        }
    }

    async fn look_at_store(&self) {
        loop {
            let began = Instant::now();
            if let Err(error) = self.look_at_approvals().await {
                tracing::debug!(%error, "the approvals could not be counted");
            }
            if let Err(error) = self.inner.costs.note_levels().await {
                tracing::debug!(%error, "what is held and left could not be summed up");
            }
            sleep(STORE_INTERVAL.max(began.elapsed() * PAUSE_FACTOR)).await;
        }
    }

    async fn look_at_approvals(&self) -> Result<()> {
        let approvals = &self.inner.stores.approvals;
        let newest = approvals.pending(Scope::All, &PageRequest::first(1)).await?;
        let Total { count, .. } = newest.total.unwrap_or(Total::exactly(newest.items.len() as u64));
        let oldest = match u32::try_from(count.saturating_sub(1)) {
            Ok(skip) if skip > 0 => {
                approvals.pending(Scope::All, &PageRequest { skip, ..PageRequest::first(1) }).await?
            }
            Ok(_) | Err(_) => newest,
        };
        let since = oldest.items.first().map(|approval| approval.created_at);
        self.inner.metrics.note_approvals(count, self.age(since));
        Ok(())
    }

    /// It reads the whole table, so the larger that is, the seldomer.
    async fn count_sessions(&self) {
        loop {
            let began = Instant::now();
            match self.inner.stores.snapshots.census().await {
                Ok(census) => self.inner.metrics.note_sessions(&census),
                Err(error) => tracing::debug!(%error, "the sessions could not be counted"),
            }
            sleep(SLOW_INTERVAL.max(began.elapsed() * PAUSE_FACTOR)).await;
        }
    }

    /// Notes how many wait for a slot, and since when the first one does.
    pub(crate) fn note_queue(&self, pool: Pool, depth: usize, oldest: Option<Timestamp>) {
        self.inner.metrics.note_queue(pool.as_str(), depth, self.age(oldest));
    }

    fn age(&self, since: Option<Timestamp>) -> Duration {
        let age = since.map(|since| self.inner.clock.now().duration_since(since));
        // A clock that was set back makes nobody wait less than nothing.
        age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default()
    }
}
