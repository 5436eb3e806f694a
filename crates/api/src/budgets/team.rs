//! `/monitoring/costs/budget/team/{name}`.

use super::{MonthlyBudgetRequest, response::TeamBudget};
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    etag::{IfMatch, Tagged},
    plain,
};
use actix_web::web::Data;
use apidoc::{
    Fail, Fetched, Forbidden, Invalid, PathParams, PreconditionFailed, Problem, Unavailable, Valid, Violation,
};
use domain::Spender;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;

/// Longest name of a team, in characters.
pub const TEAM_CHARS_MAX: usize = 100;

/// A name that a team can have.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TeamName(#[schemars(length(min = 1, max = 100), extend("pattern" = plain::LINE))] String);

/// Read a team's budget
///
/// For admins, and for those who are in the team. The month is that of UTC.
#[api_v2_operation(tags(Costs), operation_id = "getTeamBudget")]
pub async fn read(
    state: Data<ApiState>,
    caller: Caller,
    name: PathParams<String>,
) -> Result<Tagged<Fetched<TeamBudget>>, Fail<(Forbidden, Unavailable)>> {
    let view = state.costs.budget(&caller.0, Spender::Team(name.0.clone())).await.map_err(problem)?;
    let own = view.status.own();
    Ok(Tagged::editable(Fetched::new(TeamBudget::new(name.0, view)), &own))
}

/// Set a team's budget
///
/// For admins. Requests of everybody who is in the team count for it beside the user's own budget. A team needs no
/// making: it is the users that name it as their `team`.
#[api_v2_operation(tags(Costs), operation_id = "setTeamBudget")]
pub async fn set(
    state: Data<ApiState>,
    caller: Caller,
    name: PathParams<TeamName>,
    if_match: IfMatch,
    body: Valid<MonthlyBudgetRequest>,
) -> Result<Tagged<Fetched<TeamBudget>>, Fail<(Forbidden, PreconditionFailed, Invalid, Unavailable)>> {
    let TeamName(name) = name.0;
    check(&name)?;
    let spender = Spender::Team(name.clone());
    let view = state.costs.set_budget(&caller.0, spender, Some(body.0.terms()), &if_match.0).await;
    let view = view.map_err(problem)?;
    let own = view.status.own();
    Ok(Tagged::editable(Fetched::new(TeamBudget::new(name, view)), &own))
}

/// Take away a team's budget
///
/// For admins.
#[api_v2_operation(tags(Costs), operation_id = "removeTeamBudget")]
pub async fn remove(
    state: Data<ApiState>,
    caller: Caller,
    name: PathParams<String>,
    if_match: IfMatch,
) -> Result<Tagged<Fetched<TeamBudget>>, Fail<(Forbidden, PreconditionFailed, Unavailable)>> {
    let spender = Spender::Team(name.0.clone());
    let view = state.costs.set_budget(&caller.0, spender, None, &if_match.0).await.map_err(problem)?;
    let own = view.status.own();
    Ok(Tagged::editable(Fetched::new(TeamBudget::new(name.0, view)), &own))
}

/// A name that no user can have as their team would bound nothing.
fn check(name: &str) -> Result<(), Problem> {
    if (1..=TEAM_CHARS_MAX).contains(&name.chars().count()) && plain::line(name).is_ok() {
        return Ok(());
    }
    let message = format!("must be 1 to {TEAM_CHARS_MAX} characters on one line");
    Err(Problem::invalid(vec![Violation::new("{name}", "team", message)]))
}
