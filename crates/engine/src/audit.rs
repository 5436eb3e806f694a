//! The audit log as the use cases see it: what no other store notes, reading it, and its head as an anchor.

mod failed_logins;

use crate::{Error, Result};
use domain::{
    AuditEntry, AuditEvent, AuditFilter, AuditHead, Caller, Clock, Role, Source, UserId,
    audit::events::{self, LoginFailure},
    ports::{Audit, StoreResult},
};
use failed_logins::FailedLogins;
use futures::{Stream, stream};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Entries read at a time while the log is exported.
const EXPORT_BATCH: u32 = 500;
/// How often attempts that were only counted are written down.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);
/// How many flushes apart the head is logged: an hour.
const FLUSHES_PER_ANCHOR: u32 = 60;

/// Writes and reads the audit log.
pub struct AuditLog {
    store: Arc<dyn Audit>,
    clock: Arc<dyn Clock>,
    failed_logins: Mutex<FailedLogins>,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditLog")
    }
}

impl AuditLog {
    /// The log in this store.
    #[must_use]
    pub fn new(store: Arc<dyn Audit>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, failed_logins: Mutex::default() }
    }

    /// Part of the log, oldest first: at most `limit` entries after `seq`. Admins only.
    pub async fn entries(
        &self,
        caller: &Caller,
        seq: u64,
        limit: u32,
        filter: &AuditFilter,
    ) -> Result<Vec<AuditEntry>> {
        admit(caller)?;
        Ok(self.store.entries_after(seq, limit, filter).await?)
    }

    /// All of the log after `seq`, line by line, with the taking of this copy as its last entry. Admins only.
    ///
    /// It is read as it is consumed; memory is bounded by one batch.
    pub async fn export(
        &self,
        caller: &Caller,
        seq: u64,
    ) -> Result<impl Stream<Item = StoreResult<String>> + Send + 'static> {
        admit(caller)?;
        let exported = events::audit_exported(seq, &caller.origin(), self.clock.now());
        let last = self.store.append(&[exported]).await?.seq;
        Ok(lines(self.store.clone(), seq, last))
    }

    /// The end of the chain.
    pub async fn head(&self) -> Result<AuditHead> {
        Ok(self.store.head().await?)
    }

    /// A server of this version takes requests from now on. Its head goes into the log of the server too.
    pub async fn server_started(&self, version: &str) -> Result<()> {
        self.append(&[events::server_started(version, self.clock.now())]).await.map(anchor)
    }

    /// The server ends as it was told to.
    pub async fn server_stopped(&self) -> Result<()> {
        let now = self.clock.now();
        let mut ending = self.failed_logins().take_all(now);
        ending.push(events::server_stopped(now));
        self.append(&ending).await.map(anchor)
    }

    /// Writes down what was only counted, and names the head in the log of the server now and then, until cancelled.
    pub async fn keep_house(&self, cancelled: CancellationToken) {
        let mut ticks = tokio::time::interval(FLUSH_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut flushes = 0_u32;
        while cancelled.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.round(flushes.is_multiple_of(FLUSHES_PER_ANCHOR)).await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "failed logins could not be written into the audit log");
            }
            flushes = flushes.wrapping_add(1);
        }
    }

    /// Somebody tried to log in and failed.
    pub(crate) async fn login_failed(
        &self,
        user: Option<UserId>,
        reason: LoginFailure,
        source: &Source,
    ) -> Result<()> {
        let now = self.clock.now();
        let due = self.failed_logins().note(user, now, || events::login_failed(user, reason, source, now));
        self.append(&due).await.map(drop)
    }

    async fn round(&self, is_anchor_due: bool) -> Result<()> {
        let due = self.failed_logins().take_over(self.clock.now());
        let head = self.append(&due).await?;
        if is_anchor_due {
            anchor(head);
        }
        Ok(())
    }

    async fn append(&self, events: &[AuditEvent]) -> Result<AuditHead> {
        // Nothing to write is no reason to queue for the store's one writer.
        if events.is_empty() { self.head().await } else { Ok(self.store.append(events).await?) }
    }

    fn failed_logins(&self) -> std::sync::MutexGuard<'_, FailedLogins> {
        self.failed_logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines of the log after `seq` up to `last`.
pub fn lines(
    store: Arc<dyn Audit>,
    seq: u64,
    last: u64,
) -> impl Stream<Item = StoreResult<String>> + Send + 'static {
    stream::try_unfold(seq, move |after| {
        let store = store.clone();
        async move {
            if after >= last {
                return Ok(None);
            }
            let limit = EXPORT_BATCH.min(u32::try_from(last - after).unwrap_or(EXPORT_BATCH));
            let entries = store.entries_after(after, limit, &AuditFilter::default()).await?;
            let Some(end) = entries.last().map(|entry| entry.seq) else { return Ok(None) };
            let lines = entries.iter().map(line).collect::<StoreResult<String>>()?;
            Ok(Some((lines, end)))
        }
    })
}

fn line(entry: &AuditEntry) -> StoreResult<String> {
    let mut line = entry.line().map_err(|error| domain::ports::StoreError::Failed(Box::new(error)))?;
    line.push('\n');
    Ok(line)
}

fn admit(caller: &Caller) -> Result<()> {
    match caller.role {
        Role::Admin => Ok(()),
        Role::Member | Role::Viewer => Err(Error::Forbidden("only an admin may read the audit log")),
    }
}

/// Whoever keeps the server's log elsewhere can tell by this line whether the end of the audit log was cut off.
fn anchor(head: AuditHead) {
    tracing::info!(seq = head.seq, hash = %head.hash_hex(), "head of the audit log");
}
