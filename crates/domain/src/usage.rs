//! What one request to the model used and what it cost.

use crate::{MicroUsd, RequestUsageId, SessionId, TurnId, UserId};
use jiff::Timestamp;
use std::ops::Add;

/// Tokens by the kind they are priced as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenUsage {
    pub input: u64,
    pub output: u64,
    /// Written to the prompt cache for five minutes.
    pub cache_write_5m: u64,
    /// Written to the prompt cache for an hour.
    pub cache_write_1h: u64,
    pub cache_read: u64,
}

impl TokenUsage {
    /// All tokens written to the cache, whatever their lifetime.
    #[must_use]
    pub fn cache_creation(self) -> u64 {
        self.cache_write_5m.saturating_add(self.cache_write_1h)
    }
}

impl Add for TokenUsage {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            cache_read: self.cache_read.saturating_add(other.cache_read),
        }
    }
}

/// One request as the gateway saw it; the ledger's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestUsage {
    pub id: RequestUsageId,
    pub session_id: SessionId,
    pub user_id: UserId,
    /// The turn that was running when the request began.
    pub turn_id: Option<TurnId>,
    /// The model the answer named, else the one that was asked for.
    pub model: String,
    pub tokens: TokenUsage,
    /// Of the output tokens, those that were thinking.
    pub thinking_tokens: u64,
    /// The tools that the answer called, each once, in the order of their first call.
    pub tools: Vec<String>,
    pub cost: MicroUsd,
    /// Which price table the cost came from.
    pub price_version: String,
    /// False when the table has no price for the model and the highest known one was taken.
    pub is_priced: bool,
    /// False when the answer was cut off, so that more may have been used than was seen.
    pub is_complete: bool,
    /// True when tokens were estimated from what passed, because the answer ended without telling its usage.
    pub is_estimated: bool,
    /// HTTP status of the upstream's answer; 0 if there was none.
    pub http_status: u16,
    pub stop_reason: Option<String>,
    /// When the request began; spend belongs to this instant.
    pub started_at: Timestamp,
    pub duration_ms: u64,
}
