//! `GET /monitoring/costs/user/{user_id}`.

use super::report::{CostQuery, Figures};
use crate::{ApiState, caller::Caller, error::problem, word::Word};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, Unavailable, ValidQuery};
use domain::UserId;
use monitoring::costs::{CostAsked, Period};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// What a user spent in a period of their time zone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UserCosts {
    user_id: Uuid,
    period: Word<Period>,
    #[serde(flatten)]
    figures: Figures,
}

/// Read what a user spent
///
/// Their own, and for admins anybody's. Hours, days, weeks and months are those of the user's time zone. A request to
/// the model counts for the time when it began.
#[api_v2_operation(tags(Costs), operation_id = "getUserCosts")]
pub async fn read(
    state: Data<ApiState>,
    caller: Caller,
    user_id: PathParams<Uuid>,
    query: ValidQuery<CostQuery>,
) -> Result<Fetched<UserCosts>, Fail<(Forbidden, NotFound, Invalid, Unavailable)>> {
    let asked = CostAsked::from(query.0);
    let report = state.costs.of_user(&caller.0, UserId(user_id.0), &asked).await.map_err(problem)?;
    Ok(Fetched::new(UserCosts { user_id: user_id.0, period: Word(asked.period), figures: report.into() }))
}
