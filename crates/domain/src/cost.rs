//! What was spent, summed up in the ways people ask for it.

use crate::{MicroUsd, SessionId, TokenUsage, UserId};
use jiff::Timestamp;

/// Whose requests are summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CostScope {
    User(UserId),
    /// The users that are in this team now.
    Team(String),
    Session(SessionId),
    All,
}

/// Requests that began at `from` or later and before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostQuery {
    pub scope: CostScope,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// What requests are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostKey {
    Model,
    /// The key is the session's id; requests of removed sessions have an empty one.
    Session,
    /// The tools that the answers called. A request's cost is shared out evenly over the distinct tools it called; one
    /// that called none counts under an empty key. Shares are rounded so that their sum is the cost.
    Tool,
    /// Quarters of an hour since 1970: the coarsest grid on which the days of every time zone begin.
    QuarterHour,
}

/// A sum over requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CostSum {
    pub requests: u64,
    pub cost: MicroUsd,
    pub tokens: TokenUsage,
    /// Of the output tokens, those that were thinking.
    pub thinking_tokens: u64,
    /// Of the cost, what was estimated because no usage was told.
    pub estimated_cost: MicroUsd,
    /// Of the cost, what the price table has no price for.
    pub unpriced_cost: MicroUsd,
}

/// What happened in the same scope and time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Sessions that made a request.
    pub sessions: u64,
    pub messages: u64,
    pub tool_calls: u64,
}
