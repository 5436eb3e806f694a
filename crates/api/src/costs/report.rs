//! What every cost report has, and how one is asked for.

use super::sums::{DayCosts, ModelCosts, SessionCosts, TokensByKind, ToolCosts, total_tokens};
use crate::word::Word;
use jiff::Timestamp;
use monitoring::costs::{Breakdown, CostAsked, CostReport, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// Which stretch of time, and in which detail.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct CostQuery {
    /// The present hour, day, week (from Monday on) or month; `monthly` when left out.
    #[serde(default = "monthly")]
    period: Word<Period>,
    /// The period that holds this instant, in place of the present one.
    at: Option<Timestamp>,
    /// Adds `by_session`.
    #[serde(default)]
    by_session: bool,
    /// Adds `by_tool`.
    #[serde(default)]
    by_tool: bool,
    /// Adds `by_day`.
    #[serde(default)]
    by_day: bool,
}

fn monthly() -> Word<Period> {
    Word(Period::Monthly)
}

impl From<CostQuery> for CostAsked {
    fn from(query: CostQuery) -> Self {
        let CostQuery { period, at, by_session, by_tool, by_day } = query;
        Self { period: period.0, at, breakdown: Breakdown { by_session, by_tool, by_day } }
    }
}

/// The figures of a report. Lists have the highest cost first and at most 100 entries.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Figures {
    total_cost_usd: f64,
    /// Of it, what was estimated because no usage was told.
    estimated_cost_usd: f64,
    /// Of it, what was booked at the highest known price because the model's own is not known.
    unpriced_cost_usd: f64,
    /// Requests to the model.
    total_requests: u64,
    /// Sessions that made one.
    total_sessions: u64,
    total_messages: u64,
    total_tool_calls: u64,
    /// Of all kinds together.
    total_tokens: u64,
    tokens: TokensByKind,
    average_cost_per_session: f64,
    /// The first instant that is in it.
    start_date: Timestamp,
    /// The first instant that is not.
    end_date: Timestamp,
    /// By whose clocks days begin.
    time_zone: String,
    by_model: Vec<ModelCosts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_session: Option<Vec<SessionCosts>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_tool: Option<Vec<ToolCosts>>,
    /// Days on which something was spent, the oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_day: Option<Vec<DayCosts>>,
}

impl From<CostReport> for Figures {
    fn from(report: CostReport) -> Self {
        let average = report.cost_per_session();
        let CostReport { stretch, time_zone, sum, activity, by_model, by_session, by_tool, by_day } = report;
        Self {
            total_cost_usd: sum.cost.as_usd(),
            estimated_cost_usd: sum.estimated_cost.as_usd(),
            unpriced_cost_usd: sum.unpriced_cost.as_usd(),
            total_requests: sum.requests,
            total_sessions: activity.sessions,
            total_messages: activity.messages,
            total_tool_calls: activity.tool_calls,
            total_tokens: total_tokens(sum.tokens),
            tokens: sum.into(),
            average_cost_per_session: average.as_usd(),
            start_date: stretch.from,
            end_date: stretch.until,
            time_zone,
            by_model: shown(by_model),
            by_session: by_session.map(shown),
            by_tool: by_tool.map(shown),
            by_day: by_day.map(shown),
        }
    }
}

fn shown<T, U: From<T>>(sums: Vec<T>) -> Vec<U> {
    sums.into_iter().map(U::from).collect()
}
