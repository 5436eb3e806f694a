//! What servers that share a store tell each other: where something was written. What it was is in the store.

use crate::{SessionId, UserId};
use async_trait::async_trait;

/// Between the servers on one store.
///
/// It makes things quick and is never what they depend on: a wake-up may be lost, come twice or come for nothing.
#[async_trait]
pub trait Wakeups: Send + Sync {
    /// Tells the other servers of this one's writes, and `heard` of theirs, for as long as it is awaited. Where no
    /// other server can be on the store, nothing is ever heard.
    async fn exchange(&self, heard: &(dyn Fn(Wakeup) + Send + Sync));
}

/// What another server has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wakeup {
    /// Something was journalled in this session: an event, a turn that waits, its end.
    Session(SessionId),
    /// A credential of this user may have ended.
    Account(UserId),
    /// Hooks or MCP servers of this user changed, or some that are for everybody: agents were started with others.
    Agents(Option<UserId>),
    /// Nobody can say where: wake-ups may have been missed. While none come through, this comes every second.
    Anywhere,
}
