//! The servers on one store, and which of them is the home of a session. Time is the store's own, because the clocks
//! of servers differ.

use super::StoreResult;
use crate::{Event, Generation, ServerId, Session, SessionId, SessionStatus, TurnId, UserId};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// Leases of servers, and the sessions that hang on them.
#[async_trait]
pub trait Servers: Send + Sync {
    /// Makes the server's lease last for `lease` from now on.
    async fn renew(&self, server: ServerId, lease: Duration) -> StoreResult<Renewed>;

    /// Ends the server's lease, so that others need not wait for its end.
    async fn resign(&self, server: ServerId) -> StoreResult<()>;

    /// The other servers whose leases last.
    async fn others(&self, server: ServerId) -> StoreResult<Vec<ServerId>>;

    /// Makes `home` the home of a session in which a turn or a restore runs that nobody runs any more, whichever of its
    /// homes began it. What an earlier home still writes is refused from now on, also if that is the same server in an earlier
    /// life. `None` if the session has another home that lives.
    async fn take_over(
        &self,
        session: SessionId,
        home: ServerId,
        at: Timestamp,
    ) -> StoreResult<Option<Generation>>;

    /// Leaves a session without a home: nothing of it is on any server's disk.
    async fn leave(&self, session: SessionId, by: Generation) -> StoreResult<()>;

    /// Terminated sessions of this home that were not left yet and run no turn, at most `limit`.
    async fn terminated(&self, home: ServerId, limit: u32) -> StoreResult<Vec<Session>>;

    /// Sessions that were purged while this was their home, each with its user, at most `limit`: something of them may be
    /// on its disk.
    async fn leftovers(&self, home: ServerId, limit: u32) -> StoreResult<Vec<(SessionId, UserId)>>;

    /// Nothing is left of this session.
    async fn forget_leftover(&self, session: SessionId) -> StoreResult<()>;

    /// Stores that the session's own working directory is on its home's disk from now on, and where, and journals a notice.
    async fn relocate(
        &self,
        session: SessionId,
        by: Generation,
        working_directory: &str,
        notice: Value,
        at: Timestamp,
    ) -> StoreResult<(Session, Event)>;

    /// Asks the session's home to stop this turn; nothing happens if another one runs.
    async fn request_stop(&self, session: SessionId, turn: TurnId) -> StoreResult<()>;

    /// How these sessions stand.
    async fn standings(&self, sessions: &[SessionId]) -> StoreResult<Vec<Standing>>;
}

/// What a renewal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// Whether there was no lease any more: others may have taken sessions over meanwhile.
    pub had_lapsed: bool,
    /// The other servers whose leases last.
    pub others: Vec<ServerId>,
}

/// What a server has to know of a session that it runs and that others may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub session_id: SessionId,
    pub status: SessionStatus,
    pub home: Option<ServerId>,
    pub generation: Generation,
    pub current_turn_id: Option<TurnId>,
    /// The turn that was last asked to stop.
    pub stop_requested: Option<TurnId>,
}
