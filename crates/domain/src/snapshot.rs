//! A session's figures as they were at one instant.

use crate::{Counters, SessionId, SnapshotId};
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
    /// Mean over the tool calls that ended, as far as that is known.
    pub avg_tool_duration_ms: Option<f64>,
}
