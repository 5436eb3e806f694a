//! A session's figures as they were at one instant.

use crate::{Counters, Session, SessionId, SnapshotId};
use jiff::Timestamp;

/// Figures of one session, kept so that people can see how it went.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsSnapshot {
    pub id: SnapshotId,
    pub session_id: SessionId,
    pub snapshot_at: Timestamp,
    pub counters: Counters,
    /// From the first turn until the session's end, or until then. `None` before the first turn.
    pub duration_ms: Option<u64>,
    /// Mean over the tool calls that ran to their end, from the call until its result. `None` if there was none.
    pub avg_tool_duration_ms: Option<f64>,
}

impl Session {
    /// The session's figures as they are at `at`, which is now.
    #[must_use]
    pub fn snapshot(&self, at: Timestamp, avg_tool_duration_ms: Option<f64>) -> MetricsSnapshot {
        let until = self.completed_at.unwrap_or(at);
        let duration = self.started_at.map(|started| until.as_millisecond() - started.as_millisecond());
        MetricsSnapshot {
            id: SnapshotId::new(),
            session_id: self.id,
            snapshot_at: at,
            counters: self.counters,
            // Clocks are set, and then a session may end before it began.
            duration_ms: duration.map(|ms| u64::try_from(ms).unwrap_or_default()),
            avg_tool_duration_ms,
        }
    }
}
