//! Watching the health without being asked: what fails for some rounds is told as an alert, and so is logged what comes
//! back.

use std::{collections::BTreeMap, collections::VecDeque, sync::Arc, time::Duration};

use domain::{Alert, AlertId, AlertTopic, Clock, Severity, ports::Alerts};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{CheckResult, HealthChecker, Report};

/// Alerts that could not be put on record yet; the oldest go first when there are more.
const PENDING_MAX: usize = 256;

/// How often it is looked, and when somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchSettings {
    pub interval: Duration,
    /// A check has to fail so many rounds in a row.
    pub alert_after: u32,
}

/// Looks at the health in rounds, and raises an alert once for each time that a check begins to fail and goes on failing.
pub struct HealthWatch {
    checker: Arc<HealthChecker>,
    alerts: Arc<dyn Alerts>,
    clock: Arc<dyn Clock>,
    settings: WatchSettings,
    failing: BTreeMap<&'static str, Failing>,
    /// The store may be what fails.
    pending: VecDeque<Alert>,
    tell: Option<Tell>,
}

/// Who is told of every report.
type Tell = Box<dyn Fn(&Report) + Send + Sync>;

#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Timestamp,
    rounds: u32,
}

impl HealthWatch {
    /// A watch that has seen nothing yet.
    #[must_use]
    pub fn new(
        checker: Arc<HealthChecker>,
        alerts: Arc<dyn Alerts>,
        clock: Arc<dyn Clock>,
        settings: WatchSettings,
    ) -> Self {
        Self {
            checker,
            alerts,
            clock,
            settings,
            failing: BTreeMap::new(),
            pending: VecDeque::new(),
            tell: None,
        }
    }

    /// The same watch, which tells of every report, for gauges.
    #[must_use]
    pub fn telling(self, tell: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        Self { tell: Some(Box::new(tell)), ..self }
    }

    /// Watches until cancelled. The first look is after one interval: a server that has just begun is looked at by whoever
    /// waits for it.
    pub async fn keep(mut self, cancelled: CancellationToken) {
        let mut ticks = interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        while cancelled.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(()) = cancelled.run_until_cancelled(self.round()).await else { break };
        }
    }

    /// One look.
    pub async fn round(&mut self) {
        let report = self.checker.report().await;
        let now = self.clock.now();
        self.note(&report, now);
        if let Some(tell) = &self.tell {
            tell(&report);
        }
        while let Some(alert) = self.pending.front() {
            match self.alerts.raise(alert).await {
                Ok(_) => drop(self.pending.pop_front()),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "an alert about the server's health waits for the store");
                    break;
                }
            }
        }
    }

    fn note(&mut self, report: &Report, now: Timestamp) {
        for (name, result) in &report.checks {
            if result.healthy {
                if let Some(failing) = self.failing.remove(name) {
                    let seconds = now.duration_since(failing.since).as_secs();
                    tracing::info!(check = name, seconds, "a health check that failed passes again");
                }
                continue;
            }
            let failing = self.failing.entry(name).or_insert(Failing { since: now, rounds: 0 });
            failing.rounds = failing.rounds.saturating_add(1);
            let (rounds, since) = (failing.rounds, failing.since);
            if rounds == 1 {
                tracing::warn!(check = name, reason = reason(result), "a health check fails");
            }
            if rounds == self.settings.alert_after {
                tracing::error!(
                    check = name,
                    reason = reason(result),
                    rounds,
                    "a health check goes on failing"
                );
                self.pending.push_back(alert(name, result, since, now));
                if self.pending.len() > PENDING_MAX {
                    self.pending.pop_front();
                }
            }
        }
    }
}

fn alert(name: &str, result: &CheckResult, since: Timestamp, now: Timestamp) -> Alert {
    let (severity, meaning) = match result.required {
        true => (Severity::Critical, "the server is not ready"),
        false => (Severity::Warning, "the server works, but not as it should"),
    };
    let seconds = now.duration_since(since).max(SignedDuration::ZERO).as_secs();
    Alert {
        id: AlertId::new(),
        topic: AlertTopic::Health { check: name.to_owned(), since },
        severity,
        message: format!(
            "The health check {name} has failed for {seconds} s ({meaning}): {}.",
            reason(result)
        ),
        // How the server is, is for those who run it.
        user_id: None,
        raised_at: now,
    }
}

fn reason(result: &CheckResult) -> &str {
    result.detail.as_deref().unwrap_or("it does not say why")
}

impl std::fmt::Debug for HealthWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HealthWatch")
            .field("settings", &self.settings)
            .field("failing", &self.failing)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
