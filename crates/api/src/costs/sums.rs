//! Sums of money and tokens, as all cost reports show them.

use domain::{SessionId, TokenUsage, cost::CostSum};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// Tokens by the kind they are priced as.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TokensByKind {
    input: u64,
    output: u64,
    /// Written to the prompt cache for five minutes.
    cache_write_5m: u64,
    /// Written to the prompt cache for an hour.
    cache_write_1h: u64,
    cache_read: u64,
    /// Of the output, what was thinking; it is counted there.
    thinking: u64,
}

/// A sum over requests to the model.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SumResponse {
    requests: u64,
    cost_usd: f64,
    /// Of the cost, what was estimated because no usage was told.
    estimated_cost_usd: f64,
    /// Of the cost, what was booked at the highest known price because the model's own is not known.
    unpriced_cost_usd: f64,
    tokens: TokensByKind,
}

/// What was spent on one model.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModelCosts {
    model: String,
    #[serde(flatten)]
    sum: SumResponse,
}

/// What was spent in one session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionCosts {
    /// null for all sessions together that were removed.
    session_id: Option<Uuid>,
    #[serde(flatten)]
    sum: SumResponse,
}

/// What was spent on requests that called one tool. A request that called several is shared out among them evenly.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ToolCosts {
    /// null for requests that called none.
    tool_name: Option<String>,
    #[serde(flatten)]
    sum: SumResponse,
}

/// What was spent on one day.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DayCosts {
    /// Such as `2026-11-26`.
    date: String,
    #[serde(flatten)]
    sum: SumResponse,
}

/// All tokens of a sum, of whatever kind.
pub fn total_tokens(tokens: TokenUsage) -> u64 {
    let kinds = [tokens.input, tokens.output, tokens.cache_creation(), tokens.cache_read];
    kinds.into_iter().fold(0, u64::saturating_add)
}

impl From<CostSum> for TokensByKind {
    fn from(sum: CostSum) -> Self {
        let TokenUsage { input, output, cache_write_5m, cache_write_1h, cache_read } = sum.tokens;
        Self { input, output, cache_write_5m, cache_write_1h, cache_read, thinking: sum.thinking_tokens }
    }
}

impl From<CostSum> for SumResponse {
    fn from(sum: CostSum) -> Self {
        Self {
            requests: sum.requests,
            cost_usd: sum.cost.as_usd(),
            estimated_cost_usd: sum.estimated_cost.as_usd(),
            unpriced_cost_usd: sum.unpriced_cost.as_usd(),
            tokens: sum.into(),
        }
    }
}

impl From<(String, CostSum)> for ModelCosts {
    fn from((model, sum): (String, CostSum)) -> Self {
        Self { model, sum: sum.into() }
    }
}

impl From<(Option<SessionId>, CostSum)> for SessionCosts {
    fn from((session, sum): (Option<SessionId>, CostSum)) -> Self {
        Self { session_id: session.map(|session| session.0), sum: sum.into() }
    }
}

impl From<(Option<String>, CostSum)> for ToolCosts {
    fn from((tool_name, sum): (Option<String>, CostSum)) -> Self {
        Self { tool_name, sum: sum.into() }
    }
}

impl From<(Date, CostSum)> for DayCosts {
    fn from((date, sum): (Date, CostSum)) -> Self {
        Self { date: date.to_string(), sum: sum.into() }
    }
}
