//! The lease of this server: while it lasts, nobody else runs its sessions. A server that cannot renew it ends its own
//! agents before it is over.

use crate::{Error, Result, SessionManager, live::Stop, settings::ServerSettings};
use domain::{
    ServerId,
    ports::{Renewed, Servers},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A lease is renewed so often while it lasts.
const RENEWALS: u32 = 3;
/// So much of a lease is kept for ending agents; without a renewal until then they are ended.
const KEPT_FOR_THE_END: u32 = 6;
/// How long a renewal that failed is not tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What this server knows of its lease and of the other servers.
pub(crate) struct Lease {
    pub server: ServerId,
    duration: Duration,
    runtime: Handle,
    pub store: Arc<dyn Servers>,
    known: Mutex<Known>,
    ended: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Known {
    /// None before the first renewal.
    until: Option<Instant>,
    is_lost: bool,
    others: Vec<ServerId>,
}

impl Lease {
    pub(crate) fn new(settings: &ServerSettings, store: Arc<dyn Servers>) -> Self {
        let (known, ended, tasks) = (Mutex::default(), CancellationToken::new(), TaskTracker::new());
        let runtime = settings.lease_runtime.clone();
        Self { server: settings.id, duration: settings.lease, runtime, store, known, ended, tasks }
    }

    /// Whether agents may run here.
    pub(crate) fn admit_work(&self) -> Result<()> {
        if self.known().is_lost { Err(Error::LeaseLost) } else { Ok(()) }
    }

    /// Whether another server lives, as far as was heard last.
    pub(crate) fn has_company(&self) -> bool {
        !self.known().others.is_empty()
    }

    /// Whether this is another server that lives, as far as was heard last.
    pub(crate) fn is_elsewhere(&self, home: Option<ServerId>) -> bool {
        home.is_some_and(|home| self.known().others.contains(&home))
    }

    /// Notes which others live.
    pub(crate) fn note_others(&self, others: Vec<ServerId>) {
        self.known().others = others;
    }

    /// Renews once; whether there was none any more.
    async fn renew(&self) -> Result<bool> {
        let sent = Instant::now();
        let Renewed { had_lapsed, others } = self.store.renew(self.server, self.duration).await?;
        let mut known = self.known();
        // From before it was sent, so that it ends here before it does in the store.
        known.until = Some(sent + self.duration);
        known.others = others;
        Ok(had_lapsed)
    }

    /// The instant from which on agents must be ended.
    fn deadline(&self) -> Instant {
        let until = self.known().until.unwrap_or_else(Instant::now);
        until.checked_sub(self.duration / KEPT_FOR_THE_END).unwrap_or(until)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionManager {
    /// How the lease is: what is known of other servers, or why no agent runs.
    pub fn lease(&self) -> std::result::Result<Option<String>, String> {
        let known = self.inner.lease.known();
        if known.is_lost {
            return Err(
                "the lease of this server could not be renewed in time, so it runs no agents".to_owned()
            );
        }
        Ok((!known.others.is_empty())
            .then(|| format!("{} other server(s) on this store", known.others.len())))
    }

    /// Takes the lease, and keeps it until [`SessionManager::give_up_lease`].
    pub(crate) async fn take_lease(&self) -> Result<()> {
        let Lease { tasks, runtime, .. } = &*self.inner.lease;
        let lease = self.inner.lease.clone();
        // The first time too: the store's connection for it belongs to the runtime that opens it.
        let taken = tasks.spawn_on(async move { lease.renew().await }, runtime);
        taken.await.map_err(|_| Error::Internal("take the lease"))??;
        let this = self.clone();
        // A task of its own, so that nothing slow holds it up; not one of those that shutdown waits for.
        tasks.spawn_on(
            async move {
                let ended = this.inner.lease.ended.clone();
                ended.run_until_cancelled(this.keep_lease()).await;
            },
            runtime,
        );
        Ok(())
    }

    /// Ends the lease, so that others need not wait for its end.
    pub(crate) async fn give_up_lease(&self) {
        let lease = &self.inner.lease;
        lease.ended.cancel();
        lease.tasks.close();
        lease.tasks.wait().await;
        if let Err(error) = lease.store.resign(lease.server).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the lease was not given up; it will expire"
            );
        }
    }

    async fn keep_lease(&self) {
        let lease = &self.inner.lease;
        let mut next = lease.duration / RENEWALS;
        loop {
            tokio::time::sleep(next).await;
            // This process may have stood still for long: then it ends its agents before anything else.
            if Instant::now() >= lease.deadline() {
                self.lose_lease();
            }
            next = lease.duration / RENEWALS;
            // Once it is lost there is no hurry any more.
            let is_lost = lease.known().is_lost;
            let patience = if is_lost { Instant::now() + next } else { lease.deadline() };
            match timeout_at(patience, lease.renew()).await {
                Ok(Ok(had_lapsed)) => {
                    if had_lapsed {
                        self.check_after_lapse().await;
                    }
                    lease.known().is_lost = false;
                    continue;
                }
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the lease of this server could not be renewed");
                }
                Err(_elapsed) => tracing::warn!("the store did not renew the lease of this server in time"),
            }
            let left = lease.deadline().saturating_duration_since(Instant::now());
            next = if lease.known().is_lost { RETRY_DELAY } else { RETRY_DELAY.min(left) };
        }
    }

    /// The lease was over by the store's clock and not by ours: a clock was set, or the machine slept. From the renewal on
    /// nobody takes sessions over any more, so what others took meanwhile is known, and is all that has to end here.
    async fn check_after_lapse(&self) {
        tracing::warn!("the lease of this server was over by the store's clock before it was renewed");
        let this = self.clone();
        let look = self.inner.tasks.spawn_on(async move { this.look().await }, &self.inner.runtime);
        let looked = timeout_at(self.inner.lease.deadline(), look).await;
        if !matches!(looked, Ok(Ok(Ok(())))) {
            self.lose_lease();
        }
    }

    /// Ends every agent at once. Whatever they have not said yet is lost, and their turns end as interrupted, here or
    /// by whoever takes their sessions over.
    fn lose_lease(&self) {
        let inner = &self.inner;
        if !std::mem::replace(&mut inner.lease.known().is_lost, true) {
            tracing::error!(
                agents = inner.live.count(),
                "the lease of this server is over: it ends its agents"
            );
        }
        inner.live.stop_all(Stop::LeaseLost);
        for agent in inner.live.dismiss_idle(Duration::ZERO) {
            self.kill_later(agent);
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("server", &self.server)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}
