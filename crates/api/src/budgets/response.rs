//! Budgets as they are shown.

use crate::word::Word;
use domain::{MicroUsd, Spender, WhenExhausted};
use monitoring::costs::BudgetView;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// How much of a budget is left.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Left {
    /// Set aside for requests that are under way.
    reserved_usd: f64,
    /// What may still be spent and is not set aside; null: there is no bound.
    remaining_budget_usd: Option<f64>,
    /// null: there is no bound.
    percent_used: Option<f64>,
    /// Whether all of it is spent.
    is_over_budget: bool,
    /// What happens then; null: there is no bound.
    when_exhausted: Option<Word<WhenExhausted>>,
    /// Whether nobody set this budget.
    is_default: bool,
}

/// The budget of a month.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Month {
    /// null: there is no bound.
    monthly_budget_usd: Option<f64>,
    current_month_cost_usd: f64,
    #[serde(flatten)]
    left: Left,
    /// Days that are left of the month, the present one included.
    days_remaining: u8,
    /// The month, such as `2026-11`.
    period: String,
    /// By whose clocks it begins and ends.
    time_zone: String,
}

/// A user's budget.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UserBudget {
    user_id: Uuid,
    #[serde(flatten)]
    month: Month,
}

/// The budget that the users of a team share.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TeamBudget {
    team: String,
    #[serde(flatten)]
    month: Month,
}

/// What a session may cost in all of its life.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionBudget {
    session_id: Uuid,
    /// null: there is no bound.
    budget_usd: Option<f64>,
    cost_usd: f64,
    #[serde(flatten)]
    left: Left,
}

/// A budget that somebody set.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnBudget {
    /// `user`, `team` or `session`.
    kind: SpenderKind,
    /// The user's or session's id, or the team's name.
    spender: String,
    budget_usd: Option<f64>,
    cost_usd: f64,
    #[serde(flatten)]
    left: Left,
    /// The month, such as `2026-11`; null for sessions, whose budget is for all of their life.
    period: Option<String>,
    time_zone: Option<String>,
}

/// Whose spending a budget bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpenderKind {
    User,
    Team,
    Session,
}

impl From<&Spender> for SpenderKind {
    fn from(spender: &Spender) -> Self {
        match spender {
            Spender::User(_) => Self::User,
            Spender::Team(_) => Self::Team,
            Spender::Session(_) => Self::Session,
        }
    }
}

impl UserBudget {
    pub fn new(user_id: Uuid, view: BudgetView) -> Self {
        Self { user_id, month: view.into() }
    }
}

impl TeamBudget {
    pub fn new(team: String, view: BudgetView) -> Self {
        Self { team, month: view.into() }
    }
}

impl SessionBudget {
    pub fn new(session_id: Uuid, view: &BudgetView) -> Self {
        Self { session_id, budget_usd: limit(view), cost_usd: view.status.spent.as_usd(), left: view.into() }
    }
}

impl From<BudgetView> for Month {
    fn from(view: BudgetView) -> Self {
        Self {
            monthly_budget_usd: limit(&view),
            current_month_cost_usd: view.status.spent.as_usd(),
            left: Left::from(&view),
            days_remaining: view.days_remaining.unwrap_or_default(),
            period: view.status.period.0,
            time_zone: view.time_zone.unwrap_or_default(),
        }
    }
}

impl From<BudgetView> for OwnBudget {
    fn from(view: BudgetView) -> Self {
        Self {
            kind: (&view.status.spender).into(),
            spender: view.status.spender.key(),
            budget_usd: limit(&view),
            cost_usd: view.status.spent.as_usd(),
            left: Left::from(&view),
            period: Some(view.status.period.0).filter(|period| !period.is_empty()),
            time_zone: view.time_zone,
        }
    }
}

impl From<&BudgetView> for Left {
    fn from(view: &BudgetView) -> Self {
        let status = &view.status;
        Self {
            reserved_usd: status.held.as_usd(),
            remaining_budget_usd: status.remaining().map(MicroUsd::as_usd),
            percent_used: view.percent_used(),
            is_over_budget: status.is_exhausted(),
            when_exhausted: status.budget.map(|budget| Word(budget.when_exhausted)),
            is_default: !status.is_own,
        }
    }
}

fn limit(view: &BudgetView) -> Option<f64> {
    view.status.budget.map(|budget| budget.limit.as_usd())
}
