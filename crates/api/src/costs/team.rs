//! `GET /monitoring/costs/team/{name}`.

use super::report::{CostQuery, Figures};
use crate::{ApiState, caller::Caller, error::problem, word::Word};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, PathParams, Unavailable, ValidQuery};
use monitoring::costs::{CostAsked, Period};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;

/// What the users of a team spent in a period of UTC.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TeamCosts {
    team: String,
    period: Word<Period>,
    #[serde(flatten)]
    figures: Figures,
}

/// Read what a team spent
///
/// For admins. What those who are in it now spent, wherever they were before; its budget goes by what was spent while
/// they were in it. A team that nobody is in has spent nothing.
#[api_v2_operation(tags(Costs), operation_id = "getTeamCosts")]
pub async fn read(
    state: Data<ApiState>,
    caller: Caller,
    name: PathParams<String>,
    query: ValidQuery<CostQuery>,
) -> Result<Fetched<TeamCosts>, Fail<(Forbidden, Invalid, Unavailable)>> {
    let asked = CostAsked::from(query.0);
    let report = state.costs.of_team(&caller.0, name.0.clone(), &asked).await.map_err(problem)?;
    Ok(Fetched::new(TeamCosts { team: name.0, period: Word(asked.period), figures: report.into() }))
}
