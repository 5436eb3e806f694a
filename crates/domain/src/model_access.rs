//! How an agent reaches the model without ever holding the real key.

use crate::{SessionId, TurnId, UserId, budget::UsedUp};
use serde_json::Value;

/// On whose account an agent's requests are booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentScope {
    pub session_id: SessionId,
    pub user_id: UserId,
}

/// What an agent is told: where the model is, and a token that is good there and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct ModelEndpoint {
    pub base_url: String,
    pub token: String,
}

impl std::fmt::Debug for ModelEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelEndpoint").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// The one tool call of a model that is played.
#[derive(Debug, Clone, PartialEq)]
pub struct RehearsedCall {
    pub tool_use_id: String,
    pub tool_name: String,
    pub input: Value,
}

/// The gateway, as the engine sees it.
#[async_trait::async_trait]
pub trait ModelAccess: Send + Sync {
    /// Opens access for one agent process; good until revoked.
    fn admit(&self, scope: AgentScope) -> ModelEndpoint;

    /// Books the requests that begin from now on to this turn, or to none.
    fn attribute(&self, token: &str, turn: Option<TurnId>);

    /// The agent was told the turn's prompt. A request will follow, and what can be done before it comes is done.
    fn expect_request(&self, token: &str);

    /// The budget for want of which a request of this token was refused last, since it was attributed to its turn.
    fn used_up(&self, token: &str) -> Option<UsedUp>;

    /// Opens access to a model that is played: it makes this call, and is done once that was answered. Nothing is
    /// asked of a real model and nothing is booked.
    fn rehearse(&self, call: RehearsedCall) -> ModelEndpoint;

    /// Waits until all requests of this token that have ended are booked, for a bounded time.
    async fn booked(&self, token: &str);

    /// Ends access and waits until every request of this token is booked, for a bounded time.
    async fn revoke(&self, token: &str);
}
