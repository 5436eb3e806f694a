//! What agents report about themselves: their own traces, metrics and logs, on the way to whoever watches the server.

use crate::AgentScope;
use std::fmt;

/// One of the three kinds of what is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TelemetrySignal {
    Traces,
    Metrics,
    Logs,
}

impl TelemetrySignal {
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// The word for it in OTLP paths, settings and figures.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// The report is no message of its signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read a report of {}", .0.as_str())]
pub struct UnreadableReport(pub TelemetrySignal);

/// Takes in reports of agents. Nothing that is wrong behind it is the agent's business: what cannot be passed on is
/// counted and dropped.
pub trait AgentTelemetry: Send + Sync + fmt::Debug {
    /// Takes one OTLP export request in protobuf, of the agent of this scope. Returns at once.
    fn take(&self, from: AgentScope, signal: TelemetrySignal, body: &[u8]) -> Result<(), UnreadableReport>;
}
