//! `/monitoring/costs/budget`: what may be spent.

pub mod list;
pub mod response;
pub mod session;
pub mod team;
pub mod user;

use crate::{money, word::Word};
use domain::{MicroUsd, WhenExhausted};
use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// What may be spent in a month.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct MonthlyBudgetRequest {
    /// Dollars with at most six decimals; 0 lets nothing be spent.
    #[validate(custom(function = "money::named"))]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    monthly_budget_usd: f64,
    /// What happens when it is spent. Left out: what the server does with budgets that nobody set, and `block` for teams.
    when_exhausted: Option<Word<WhenExhausted>>,
}

impl MonthlyBudgetRequest {
    fn terms(&self) -> (MicroUsd, Option<WhenExhausted>) {
        (money::amount(self.monthly_budget_usd), self.when_exhausted.map(|manner| manner.0))
    }
}
