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

impl CostSum {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            cost: self.cost + other.cost,
            tokens: self.tokens + other.tokens,
            thinking_tokens: self.thinking_tokens.saturating_add(other.thinking_tokens),
            estimated_cost: self.estimated_cost + other.estimated_cost,
            unpriced_cost: self.unpriced_cost + other.unpriced_cost,
        }
    }

    /// What each of these tools has of the sum over requests that called all of them; one empty key if there are none.
    ///
    /// Each was called by all the requests; cost and tokens are shared out evenly, and what does not divide goes to the
    /// first. So the shares sum up to what is shared.
    #[must_use]
    pub fn shares(self, tools: Vec<String>) -> Vec<(String, Self)> {
        if tools.is_empty() {
            return vec![(String::new(), self)];
        }
        let of = tools.len() as u64;
        tools.into_iter().zip(0..).map(|(tool, place)| (tool, self.share(place, of))).collect()
    }

    fn share(self, place: u64, of: u64) -> Self {
        let tokens = |sum: u64| sum / of + u64::from(place < sum % of);
        // Costs are never negative.
        let cost = |sum: MicroUsd| MicroUsd(tokens(sum.0.max(0).unsigned_abs()).cast_signed());
        Self {
            requests: self.requests,
            cost: cost(self.cost),
            tokens: TokenUsage {
                input: tokens(self.tokens.input),
                output: tokens(self.tokens.output),
                cache_write_5m: tokens(self.tokens.cache_write_5m),
                cache_write_1h: tokens(self.tokens.cache_write_1h),
                cache_read: tokens(self.tokens.cache_read),
            },
            thinking_tokens: tokens(self.thinking_tokens),
            estimated_cost: cost(self.estimated_cost),
            unpriced_cost: cost(self.unpriced_cost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_sum_up_to_what_is_shared(cost in 0..i64::MAX, output in any::<u64>(), tools in 1_usize..50) {
            let tokens = TokenUsage { output, ..TokenUsage::default() };
            let sum = CostSum { cost: MicroUsd(cost), tokens, requests: 3, ..CostSum::default() };
            let shares = sum.shares((0..tools).map(|tool| tool.to_string()).collect());
            prop_assert_eq!(shares.len(), tools);
            let together = shares.into_iter().map(|(_, share)| share).fold(CostSum::default(), CostSum::plus);
            prop_assert_eq!((together.cost, together.tokens), (sum.cost, sum.tokens));
        }
    }
}
