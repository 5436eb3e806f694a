//! Telling alerts: each channel gets each alert until it has told it or gives up, also after the death of a server.
//!
//! What is due is looked for in the store, so nothing that raises an alert has to know who tells it. An alert may be
//! told twice, when a server dies between telling and noting it; both times it has the same id.

mod email;
mod letter;
pub mod limits;

pub use email::{BadCertificate, BadMailAddress, MailAddress, MailSettings, MailTls, Mailer};

use crate::MetricsCollector;
use async_trait::async_trait;
use domain::{
    Alert, AlertChannel, Clock, Page, PageRequest, Scope,
    alert::DueAlert,
    ports::{Alerts, StoreResult},
};
use futures::future::join_all;
use jiff::Timestamp;
use std::{error::Error, fmt, pin::pin, sync::Arc};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

/// A way to tell people of an alert.
#[async_trait]
pub trait Teller: Send + Sync {
    /// Which channel this is in the store.
    fn channel(&self) -> AlertChannel;

    /// Tells it. Whoever hears it twice must be able to know by its id.
    async fn tell(&self, alert: &Alert) -> Result<(), NotTold>;
}

/// Why an alert was not told; completes "the alert …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotTold(pub String);

/// Lists alerts, and has them told.
#[derive(Clone)]
pub struct Alerter {
    store: Arc<dyn Alerts>,
    clock: Arc<dyn Clock>,
    lines: Arc<[Line]>,
    metrics: Arc<MetricsCollector>,
}

/// A channel, and what wakes it.
struct Line {
    teller: Arc<dyn Teller>,
    news: Notify,
}

impl Alerter {
    /// Over these channels; without any, alerts are only listed.
    #[must_use]
    pub fn new(
        store: Arc<dyn Alerts>,
        clock: Arc<dyn Clock>,
        tellers: Vec<Arc<dyn Teller>>,
        metrics: Arc<MetricsCollector>,
    ) -> Self {
        let lines = tellers.into_iter().map(|teller| Line { teller, news: Notify::new() });
        Self { store, clock, lines: lines.collect(), metrics }
    }

    /// Alerts that this scope may see, newest first.
    pub async fn list(&self, scope: Scope, page: &PageRequest) -> StoreResult<Page<Alert>> {
        self.store.alerts(scope, page).await
    }

    /// Has the channels look at once; without it they look every few seconds.
    pub fn nudge(&self) {
        for line in self.lines.iter() {
            line.news.notify_one();
        }
    }

    /// Tells what is due until cancelled. It looks at what is due and not at what led to it.
    pub async fn run(&self, cancelled: CancellationToken) {
        join_all(self.lines.iter().map(|line| self.serve(line, &cancelled))).await;
    }

    async fn serve(&self, line: &Line, cancelled: &CancellationToken) {
        while !cancelled.is_cancelled() {
            let due = self.take(line.teller.channel()).await;
            if due.is_empty() {
                tokio::select! {
                    () = cancelled.cancelled() => {}
                    () = line.news.notified() => {}
                    () = tokio::time::sleep(limits::POLL) => {}
                }
                continue;
            }
            let mut telling = pin!(join_all(due.iter().map(|due| self.attempt(&*line.teller, due))));
            tokio::select! {
                _ = &mut telling => {}
                () = cancelled.cancelled() => {
                    // Whatever does not end in time is told again by the next life, under the same id.
                    let _unfinished = timeout(limits::WAIT_AT_END, telling).await;
                }
            }
        }
    }

    async fn take(&self, channel: AlertChannel) -> Vec<DueAlert> {
        let now = self.clock.now();
        match self.store.take_due_alerts(channel, now, limits::CLAIM, limits::AT_ONCE_MAX).await {
            Ok(due) => due,
            Err(error) => {
                let error = &error as &dyn Error;
                tracing::warn!(error, channel = channel.as_str(), "could not look for alerts to tell");
                vec![]
            }
        }
    }

    async fn attempt(&self, teller: &dyn Teller, due: &DueAlert) {
        let (alert, channel) = (&due.alert, teller.channel());
        let now = self.clock.now();
        if now.duration_since(alert.raised_at) > limits::AGE_MAX {
            let error = NotTold("is too old to be told".to_owned());
            return self.note_failure(due, channel, &error, None).await;
        }
        let told = timeout(limits::ATTEMPT_MAX, teller.tell(alert)).await;
        let told = told.unwrap_or_else(|_| Err(NotTold(format!("took more than {:?}", limits::ATTEMPT_MAX))));
        match told {
            Ok(()) => {
                self.metrics.record_alert_delivery(channel, true);
                tracing::info!(alert_id = %alert.id, channel = channel.as_str(), "told an alert");
                note(self.store.alert_told(alert.id, channel, self.clock.now()).await);
            }
            Err(error) => {
                self.metrics.record_alert_delivery(channel, false);
                self.note_failure(due, channel, &error, self.next(due.attempts)).await;
            }
        }
    }

    async fn note_failure(
        &self,
        due: &DueAlert,
        channel: AlertChannel,
        error: &NotTold,
        next: Option<Timestamp>,
    ) {
        let (alert_id, channel_name, attempt) = (due.alert.id, channel.as_str(), due.attempts + 1);
        match next {
            Some(next) => {
                tracing::warn!(%alert_id, channel = channel_name, attempt, %next, %error, "an alert was not told");
            }
            None => {
                let message = &due.alert.message;
                tracing::error!(%alert_id, channel = channel_name, attempt, %error, message, "gave up telling an alert");
            }
        }
        note(self.store.alert_failed(due.alert.id, channel, &error.0, next).await);
    }

    /// When an alert that was tried so often before is tried again.
    fn next(&self, attempts: u32) -> Option<Timestamp> {
        let delay = *limits::RETRY_DELAYS.get(attempts as usize)?;
        self.clock.now().checked_add(delay).ok()
    }
}

fn note(noted: StoreResult<()>) {
    if let Err(error) = noted {
        // It is due again when the claim is over.
        let error = &error as &dyn Error;
        tracing::warn!(error, "what came of an alert is not on record");
    }
}

impl fmt::Debug for Alerter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels: Vec<&str> = self.lines.iter().map(|line| line.teller.channel().as_str()).collect();
        f.debug_struct("Alerter").field("channels", &channels).finish_non_exhaustive()
    }
}
