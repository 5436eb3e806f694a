//! What happens in the server, apart from what the collector itself is named for.

use super::MetricsCollector;
use crate::{
    meters::{Instruments, labels},
    performance::Activity,
};
use domain::{Alert, AlertChannel, AlertTopic, PermissionDecision, Severity, Verdict};
use opentelemetry::{KeyValue, StringValue};
use std::time::Duration;

/// What an agent's start came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentStart {
    Started,
    Failed,
    /// Nobody wanted it any more.
    Stopped,
}

/// What is done with archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveOperation {
    Store,
    Restore,
}

impl MetricsCollector {
    /// A request was answered. `route` is the template, never the path.
    pub fn record_http_request(&self, method: &str, route: Option<String>, status: u16, took: Duration) {
        let Some(on) = self.on() else { return };
        let labels = [
            KeyValue::new("http.request.method", labels::method(method)),
            KeyValue::new("http.route", route.map_or("none".into(), StringValue::from)),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        on.meters.instruments.http_duration.record(took.as_secs_f64(), &labels);
    }

    /// An agent was started, or was not, after so long.
    pub fn record_agent_start(&self, outcome: AgentStart, took: Duration) {
        let Some(on) = self.on() else { return };
        let word = match outcome {
            AgentStart::Started => "started",
            AgentStart::Failed => "failed",
            AgentStart::Stopped => "stopped",
        };
        on.meters.instruments.agent_starts.add(1, &[KeyValue::new("outcome", word)]);
        if outcome == AgentStart::Started {
            on.meters.instruments.agent_start_duration.record(took.as_secs_f64(), &[]);
        }
    }

    /// An execution of a task is over; `outcome` is the word for its status.
    pub fn record_execution(&self, outcome: &'static str) {
        let Some(on) = self.on() else { return };
        on.meters.instruments.execution_ends.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// A decision about a tool call is on record.
    pub fn record_permission_decision(&self, decision: &PermissionDecision) {
        let Some(on) = self.on() else { return };
        let labels = [
            KeyValue::new("verdict", decision.opinion.verdict.as_str()),
            KeyValue::new("rule", labels::rule(decision)),
        ];
        on.meters.instruments.decisions.add(1, &labels);
    }

    /// A decision about a tool call could not be put on record, so it is a no, whatever it was.
    pub fn record_unrecorded_decision(&self) {
        let Some(on) = self.on() else { return };
        let denied = KeyValue::new("verdict", Verdict::Deny.as_str());
        on.meters.instruments.decisions.add(1, &[denied, KeyValue::new("rule", labels::FAILURE)]);
    }

    /// An agent has waited so long for a verdict.
    pub fn record_permission_check(&self, took: Duration) {
        let Some(on) = self.on() else { return };
        on.meters.instruments.permission_duration.record(took.as_secs_f64(), &[]);
        on.performance.record(Activity::PermissionCheck, took);
    }

    /// A hook has answered at this event, or has not; `outcome` is the word for its status.
    pub fn record_hook_run(&self, event: &str, outcome: &'static str, took: Duration) {
        let Some(on) = self.on() else { return };
        let event = KeyValue::new("event", labels::event(event));
        on.meters.instruments.hook_duration.record(took.as_secs_f64(), std::slice::from_ref(&event));
        on.meters.instruments.hook_runs.add(1, &[event, KeyValue::new("outcome", outcome)]);
        on.performance.record(Activity::Hook, took);
    }

    /// An archive was stored or restored, or could not be; `size_bytes` is that of one that was stored.
    pub fn record_archive(
        &self,
        operation: ArchiveOperation,
        is_done: bool,
        took: Duration,
        size_bytes: Option<u64>,
    ) {
        let Some(on) = self.on() else { return };
        let operation = KeyValue::new(
            "operation",
            match operation {
                ArchiveOperation::Store => "store",
                ArchiveOperation::Restore => "restore",
            },
        );
        let outcome = KeyValue::new("outcome", if is_done { "completed" } else { "failed" });
        on.meters.instruments.archive_duration.record(took.as_secs_f64(), std::slice::from_ref(&operation));
        on.meters.instruments.archives.add(1, &[operation, outcome]);
        if let Some(size) = size_bytes {
            on.meters.instruments.archive_size.record(size as f64, &[]);
        }
    }

    /// A watcher was too slow and was disconnected.
    pub fn record_stream_disconnect(&self) {
        self.count(|instruments| instruments.stream_disconnects.add(1, &[]));
    }

    /// A request to the model was refused; `kind` is [`domain::Spender::kind`].
    pub fn record_budget_refusal(&self, kind: &'static str) {
        self.count(|instruments| instruments.budget_refusals.add(1, &[KeyValue::new("kind", kind)]));
    }

    /// A request to the model waits until others are settled.
    pub fn record_budget_wait(&self) {
        self.count(|instruments| instruments.budget_waits.add(1, &[]));
    }

    /// A request to the model could not be booked.
    pub fn record_ledger_failure(&self) {
        self.count(|instruments| instruments.ledger_failures.add(1, &[]));
    }

    /// An alert was raised.
    pub fn record_alert(&self, alert: &Alert) {
        let topic = topic(&alert.topic);
        let labels = [KeyValue::new("topic", topic), KeyValue::new("severity", alert.severity.as_str())];
        self.count(|instruments| instruments.alerts.add(1, &labels));
    }

    /// It was tried to tell of an alert.
    pub fn record_alert_delivery(&self, channel: AlertChannel, is_delivered: bool) {
        let outcome = if is_delivered { "delivered" } else { "failed" };
        let labels = [KeyValue::new("channel", channel.as_str()), KeyValue::new("outcome", outcome)];
        self.count(|instruments| instruments.alert_deliveries.add(1, &labels));
    }

    pub(super) fn count(&self, add: impl FnOnce(&Instruments)) {
        if let Some(on) = self.on() {
            add(&on.meters.instruments);
        }
    }
}

fn topic(topic: &AlertTopic) -> &'static str {
    match topic {
        AlertTopic::Budget { .. } => "budget",
        AlertTopic::Health { .. } => "health",
    }
}

impl Instruments {
    /// Has the series there that an alert watches: one that begins with its first failure would not show it as a rise.
    pub(crate) fn start_at_zero(&self) {
        for counter in [&self.budget_waits, &self.ledger_failures, &self.stream_disconnects, &self.snapshots]
        {
            counter.add(0, &[]);
        }
        for counter in [&self.cost_unpriced, &self.cost_estimated] {
            counter.add(0.0, &[]);
        }
        let each =
            |counter: &opentelemetry::metrics::Counter<u64>, label: &'static str, words: &[&'static str]| {
                for word in words {
                    counter.add(0, &[KeyValue::new(label, *word)]);
                }
            };
        each(&self.agent_starts, "outcome", &["started", "failed", "stopped"]);
        each(&self.budget_refusals, "kind", &["user", "team", "session"]);
        each(&self.store_errors, "kind", &["unavailable", "failed", "inconsistent"]);
        each(&self.telemetry_dropped, "signal", &["traces", "metrics", "logs"]);
        for channel in AlertChannel::ALL {
            for outcome in ["delivered", "failed"] {
                let labels = [KeyValue::new("channel", channel.as_str()), KeyValue::new("outcome", outcome)];
                self.alert_deliveries.add(0, &labels);
            }
        }
        for topic in ["budget", "health"] {
            for severity in Severity::ALL {
                let labels = [KeyValue::new("topic", topic), KeyValue::new("severity", severity.as_str())];
                self.alerts.add(0, &labels);
            }
        }
        for operation in ["store", "restore"] {
            for outcome in ["completed", "failed"] {
                let labels = [KeyValue::new("operation", operation), KeyValue::new("outcome", outcome)];
                self.archives.add(0, &labels);
            }
        }
    }
}
