//! Where agents wait for people: an approval is opened, waited for by looking at its row, and decided once.

use crate::{
    feed::Feed,
    lease::Lease,
    live::{LiveAgents, Stop},
    settings::ApprovalSettings,
};
use domain::{
    Approval, ApprovalDecision, ApprovalId, ApprovalOutcome, ApprovalStatus, Clock, Generation, Origin,
    SessionId,
    ports::{Approvals, Decided, StoreError, StoreResult},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{runtime::Handle, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often a waiting agent's host looks whether another server has taken the answer.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The approvals of one server's agents; gates share it.
pub(crate) struct Desk {
    pub store: Arc<dyn Approvals>,
    pub clock: Arc<dyn Clock>,
    pub settings: ApprovalSettings,
    feed: Arc<Feed>,
    live: Arc<LiveAgents>,
    lease: Arc<Lease>,
    tasks: TaskTracker,
    runtime: Handle,
    draining: CancellationToken,
    /// Something was decided in this process: whoever waits looks at its row at once.
    decided: Notify,
    /// What agents of this process wait for now.
    awaited: Mutex<HashSet<ApprovalId>>,
    /// Sessions with decisions that an agent which waits for prompts has not heard of.
    untold: Mutex<HashSet<SessionId>>,
}

/// What the desk works with besides the store.
pub(crate) struct Surrounding {
    pub clock: Arc<dyn Clock>,
    pub feed: Arc<Feed>,
    pub live: Arc<LiveAgents>,
    pub lease: Arc<Lease>,
    pub tasks: TaskTracker,
    pub runtime: Handle,
    pub draining: CancellationToken,
}

impl Desk {
    pub(crate) fn new(
        store: Arc<dyn Approvals>,
        settings: ApprovalSettings,
        around: Surrounding,
    ) -> Arc<Self> {
        let Surrounding { clock, feed, live, lease, tasks, runtime, draining } = around;
        let (decided, awaited, untold) = (Notify::new(), Mutex::default(), Mutex::default());
        Arc::new(Self {
            store,
            clock,
            settings,
            feed,
            live,
            lease,
            tasks,
            runtime,
            draining,
            decided,
            awaited,
            untold,
        })
    }

    /// Opens an approval; false if its turn is over.
    pub(crate) async fn open(&self, approval: &Approval, by: Generation) -> StoreResult<bool> {
        let events = self.store.open(approval, by).await?;
        let is_open = events.is_some();
        self.feed.publish(events.into_iter().flatten());
        Ok(is_open)
    }

    /// Decides an approval for `origin` and tells everybody. `None` if there is no such approval.
    pub(crate) async fn decide(
        &self,
        id: ApprovalId,
        outcome: ApprovalOutcome,
        origin: &Origin,
    ) -> StoreResult<Option<Decided>> {
        let decision = ApprovalDecision { outcome, at: self.clock.now() };
        let decided = self.store.decide(id, &decision, origin).await?;
        if let Some(Decided::Now(approval, events)) = &decided {
            // An agent that was started since then and lives has to be told; one that waits learns of it by itself.
            if approval.delivered_at.is_none() && !locked(&self.awaited).contains(&id) {
                self.note_untold(approval.session_id);
            }
            self.feed.publish(events.clone());
            self.decided.notify_waiters();
        }
        Ok(decided)
    }

    /// Waits until the approval is decided, here or elsewhere, or its time is up.
    pub(crate) async fn wait(&self, approval: &Approval) -> StoreResult<Approval> {
        let _awaited = Awaited::new(self, approval.id);
        let mut has_stopped = false;
        loop {
            // Made before the row is read, so that a decision after that is not missed.
            let decided = self.decided.notified();
            let left = approval.expires_at.duration_since(self.clock.now());
            match self.store.get(approval.session_id, approval.id).await {
                Ok(Some(now)) if now.status != ApprovalStatus::Pending => return Ok(now),
                Ok(Some(_)) if left.is_positive() => {}
                Ok(Some(_)) => {
                    self.decide(approval.id, ApprovalOutcome::Expired, &Origin::system()).await?;
                    continue;
                }
                Ok(None) => return Err(StoreError::Inconsistent { table: "approvals", column: "id" }),
                // The store may come back while there is time.
                Err(error) if left.is_positive() => {
                    tracing::debug!(%error, "could not look at an approval; looking again");
                }
                Err(error) => return Err(error),
            }
            let next_look = Duration::try_from(left).unwrap_or(LOOK_INTERVAL).min(LOOK_INTERVAL);
            tokio::select! {
                () = decided => {}
                () = tokio::time::sleep(next_look) => {}
                // No person answers within a shutdown's grace: the turn ends now, and the question stays.
                () = self.draining.cancelled(), if !has_stopped => {
                    has_stopped = true;
                    self.live.stop(approval.session_id, Stop::Shutdown);
                }
            }
        }
    }

    /// Withdraws what an agent does not want to know any more, in a task of its own. What is asked when the server ends,
    /// or loses its lease, is not withdrawn: it can be answered later.
    pub(crate) fn withdraw_later(self: &Arc<Self>, id: ApprovalId, by: Generation) {
        if self.draining.is_cancelled() || self.lease.admit_work().is_err() {
            return;
        }
        let this = Arc::clone(self);
        let withdraw = async move {
            let withdrawn = this.decide(id, ApprovalOutcome::Withdrawn, &Origin::system()).await;
            // Answered in the same instant: the turn was stopped, so nothing goes on with it.
            let settled = match withdrawn {
                Ok(Some(Decided::Stands(_))) => this.store.deliver(id, by, this.clock.now()).await.map(drop),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = settled {
                tracing::warn!(approval_id = %id, %error, "an approval could not be withdrawn; it will expire");
            }
        };
        self.tasks.spawn_on(withdraw, &self.runtime);
    }

    /// Notes that a session has a decision which its next turn may have to tell.
    pub(crate) fn note_untold(&self, session: SessionId) {
        locked(&self.untold).insert(session);
    }

    /// Whether that was noted since the last time somebody asked.
    pub(crate) fn take_untold(&self, session: SessionId) -> bool {
        locked(&self.untold).remove(&session)
    }
}

fn locked<T>(set: &Mutex<HashSet<T>>) -> MutexGuard<'_, HashSet<T>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An approval is awaited here until this is dropped.
struct Awaited<'a> {
    desk: &'a Desk,
    id: ApprovalId,
}

impl<'a> Awaited<'a> {
    fn new(desk: &'a Desk, id: ApprovalId) -> Self {
        locked(&desk.awaited).insert(id);
        Self { desk, id }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        locked(&self.desk.awaited).remove(&self.id);
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}
