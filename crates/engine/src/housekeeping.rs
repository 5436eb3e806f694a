//! What nobody asks for and must happen: taking up after a crash, closing idle agents, ending with the server.
//!
//! Everything here looks at the state and not at what led to it, so doing it twice does nothing twice.

use crate::{Result, SessionManager, live::Stop};
use domain::{SessionMode, SessionStatus, Turn, TurnEnd, TurnFailure, TurnStatus};
use jiff::SignedDuration;
use std::{sync::PoisonError, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often housekeeping looks round.
const ROUND_INTERVAL: Duration = Duration::from_secs(5);
/// A running turn that this process does not run is somebody's loss only after this long: it may just be beginning.
const ORPHAN_AGE: SignedDuration = SignedDuration::from_secs(60);
/// How long interrupted turns have to end at shutdown, after the grace period.
const INTERRUPT_WAIT: Duration = Duration::from_secs(15);

impl SessionManager {
    /// Takes up after a previous life of this server: its open turns are closed as interrupted, its queues go on.
    /// Call it once, before the first request, when no process of that life is left.
    pub async fn recover(&self) -> Result<usize> {
        self.take_lease().await?;
        self.inner.costs.settle_earlier_life().await?;
        let turns = self.inner.stores.turns.running(self.server()).await?;
        for turn in &turns {
            let session = self.load(domain::Scope::All, turn.session_id).await?;
            self.rescue_transcript(&session).await;
            self.end_orphan(turn).await?;
        }
        // A server begins without these too: its rounds and its next life do them again.
        tell([
            ("remove what unfinished forks left", self.sweep_forks().await),
            ("remove temporary folders that were left", self.sweep_temporary().await),
            ("clear terminated sessions away", self.clear_terminated().await),
            ("clear purged sessions away", self.clear_leftovers().await),
            ("keep approvals", self.keep_approvals().await),
        ]);
        self.keep_archives().await;
        self.admit_later();
        Ok(turns.len())
    }

    /// Keeps house until cancelled, and sends what is due to people's endpoints.
    pub async fn keep_house(&self, cancelled: CancellationToken) {
        tokio::join!(
            self.make_rounds(cancelled.clone()),
            self.look_around(cancelled.clone()),
            self.watch_budgets(cancelled.clone()),
            self.keep_levels(cancelled.clone()),
            self.keep_snapshots(cancelled.clone()),
            self.inner.hooks.send(cancelled)
        );
    }

    async fn make_rounds(&self, cancelled: CancellationToken) {
        let mut ticks = tokio::time::interval(ROUND_INTERVAL.min(self.inner.settings.limits.idle_timeout));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while cancelled.run_until_cancelled(ticks.tick()).await.is_some() {
            for agent in self.inner.live.dismiss_idle(self.inner.settings.limits.idle_timeout) {
                self.close_later(agent);
            }
            self.inner.feed.forget_unwatched();
            self.inner.self_test.retry(self).await;
            self.round().await;
        }
    }

    /// Ends: no new work, running turns get `grace` to finish, then they are interrupted; then agents are closed.
    pub async fn shut_down(&self, grace: Duration) {
        self.inner.draining.cancel();
        let idle = Duration::ZERO;
        for agent in self.inner.live.dismiss_idle(idle) {
            self.close_later(agent);
        }
        self.inner.tasks.close();
        if tokio::time::timeout(grace, self.inner.tasks.wait()).await.is_err() {
            self.inner.live.stop_all(Stop::Shutdown);
            if tokio::time::timeout(INTERRUPT_WAIT, self.inner.tasks.wait()).await.is_err() {
                tracing::error!("some turns did not end in time");
            }
        }
        for agent in self.inner.live.dismiss_idle(idle) {
            self.close(agent).await;
        }
        self.inner.hooks.shut_down().await;
        self.snapshot_changed().await;
        self.inner.feed.close();
        self.give_up_lease().await;
    }

    /// How many agents run or are being started.
    #[must_use]
    pub fn live_agents(&self) -> usize {
        self.inner.live.count()
    }

    /// One round. Every step looks at the state and can be repeated; one that fails keeps no other from its turn.
    async fn round(&self) {
        tell([
            ("look for other servers", self.look_for_others().await),
            ("end turns that nobody runs", self.end_orphans().await),
            ("clear terminated sessions away", self.clear_terminated().await),
            ("clear purged sessions away", self.clear_leftovers().await),
            ("keep budgets", self.keep_money().await),
            ("keep approvals", self.keep_approvals().await),
        ]);
        self.keep_archives().await;
        // Another server may have queued something, and a look may have failed.
        self.admit_later();
        self.renew_after_misses();
    }

    async fn look_for_others(&self) -> Result<()> {
        let lease = &self.inner.lease;
        lease.note_others(lease.store.others(self.server()).await?);
        Ok(())
    }

    async fn end_orphans(&self) -> Result<()> {
        // What runs here is looked at before the store is asked and after: a turn that ends or begins meanwhile is in
        // its answer and not lost.
        let running = || self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = running().clone();
        let now = self.inner.clock.now();
        for turn in self.inner.stores.turns.running(self.server()).await? {
            let is_ours = ours.contains_key(&turn.id) || running().contains_key(&turn.id);
            let is_old = turn.started_at.is_none_or(|started| now.duration_since(started) > ORPHAN_AGE);
            if !is_ours && (is_old || self.is_abandoned(&turn).await?) {
                self.end_orphan(&turn).await?;
            }
        }
        Ok(())
    }

    /// Whether the turn was begun by another server, which is gone: it cannot be just beginning.
    async fn is_abandoned(&self, turn: &Turn) -> Result<bool> {
        let session = self.load(domain::Scope::All, turn.session_id).await?;
        Ok(session.server_id != Some(self.server()))
    }

    pub(crate) async fn end_orphan(&self, turn: &Turn) -> Result<()> {
        let now = self.inner.clock.now();
        let taken = self.inner.lease.store.take_over(turn.session_id, self.server(), now).await?;
        // Another server was faster, or its home is back.
        let Some(generation) = taken else { return Ok(()) };
        let session = self.load(domain::Scope::All, turn.session_id).await?;
        let session_status = match session.mode {
            SessionMode::Interactive | SessionMode::Forked => SessionStatus::Active,
            SessionMode::Background => SessionStatus::Failed,
        };
        let session_status = self.status_after_stop(session.id, session_status).await;
        let end = TurnEnd {
            status: TurnStatus::Interrupted,
            answer: None,
            answer_message_id: None,
            failure: Some(TurnFailure::ServerStopped),
            error_message: Some("the server stopped while the turn ran".to_owned()),
            rounds: 0,
            retries: 0,
            session_status,
            last_messages: Vec::new(),
            last_lines: Vec::new(),
            called_tools: true,
            agent: None,
            at: self.inner.clock.now(),
        };
        if let Some(ended) = self.inner.stores.turns.end(turn.id, generation, &end).await? {
            self.inner.feed.publish_end(ended, end.called_tools);
        }
        Ok(())
    }
}

/// Tells of the steps that failed: what each is for, and what came of it.
pub(crate) fn tell(steps: impl IntoIterator<Item = (&'static str, Result<()>)>) {
    for (step, done) in steps {
        if let Err(error) = done {
            tracing::warn!(
                step,
                error = &error as &dyn std::error::Error,
                "housekeeping could not finish a step"
            );
        }
    }
}
