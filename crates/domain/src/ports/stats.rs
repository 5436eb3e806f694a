//! How much there is of everything.

use super::StoreResult;
use crate::{MicroUsd, SessionStatus};
use async_trait::async_trait;
use jiff::Timestamp;

/// How much there is, looked up in counters and indexes: it costs about the same however much it is.
#[async_trait]
pub trait Stats: Send + Sync {
    /// How much there is at `at`, which is now, and what came since `since`.
    async fn stats(&self, since: Timestamp, at: Timestamp) -> StoreResult<ServerStats>;
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerStats {
    /// Accounts that are somebody's.
    pub users: u64,
    /// Of them, those that may come in.
    pub active_users: u64,
    /// All that are on record.
    pub sessions: u64,
    /// Those in one of [`ACTIVE`]'s states.
    pub active_sessions: u64,
    /// Those in which a turn is running.
    pub running_sessions: u64,
    /// Sessions that were created since.
    pub sessions_since: u64,
    /// Requests to the model that began since.
    pub requests_since: u64,
    /// What those cost.
    pub cost_since: MicroUsd,
    pub since: Timestamp,
    pub at: Timestamp,
}

/// The states in which a session can be talked to, or is talked to.
pub const ACTIVE: [SessionStatus; 4] =
    [SessionStatus::Connecting, SessionStatus::Active, SessionStatus::Processing, SessionStatus::WaitingUser];
