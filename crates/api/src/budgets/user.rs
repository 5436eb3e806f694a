//! `/monitoring/costs/budget/{user_id}`.

use super::{MonthlyBudgetRequest, response::UserBudget};
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    etag::{IfMatch, Tagged},
};
use actix_web::web::Data;
use apidoc::{
    Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, PreconditionFailed, Unavailable, Valid,
};
use domain::{Spender, UserId};
use paperclip::actix::api_v2_operation;
use uuid::Uuid;

/// Read a user's budget
///
/// Their own, and for admins anybody's. The month is that of the user's time zone.
#[api_v2_operation(tags(Costs), operation_id = "getUserBudget")]
pub async fn read(
    state: Data<ApiState>,
    caller: Caller,
    user_id: PathParams<Uuid>,
) -> Result<Tagged<Fetched<UserBudget>>, Fail<(Forbidden, NotFound, Unavailable)>> {
    let view = state.costs.budget(&caller.0, Spender::User(UserId(user_id.0))).await.map_err(problem)?;
    let own = view.status.own();
    Ok(Tagged::editable(Fetched::new(UserBudget::new(user_id.0, view)), &own))
}

/// Set a user's budget
///
/// For admins. It holds from the next request to the model on, and in all months to come. Sessions that are paused for
/// want of money go on if there is some now.
#[api_v2_operation(tags(Costs), operation_id = "setUserBudget")]
pub async fn set(
    state: Data<ApiState>,
    caller: Caller,
    user_id: PathParams<Uuid>,
    if_match: IfMatch,
    body: Valid<MonthlyBudgetRequest>,
) -> Result<Tagged<Fetched<UserBudget>>, Fail<(Forbidden, NotFound, PreconditionFailed, Invalid, Unavailable)>>
{
    let spender = Spender::User(UserId(user_id.0));
    let view = state.costs.set_budget(&caller.0, spender, Some(body.0.terms()), &if_match.0).await;
    let view = view.map_err(problem)?;
    let own = view.status.own();
    Ok(Tagged::editable(Fetched::new(UserBudget::new(user_id.0, view)), &own))
}

/// Return a user to the default budget
///
/// For admins. Answers with what holds then.
#[api_v2_operation(tags(Costs), operation_id = "removeUserBudget")]
pub async fn remove(
    state: Data<ApiState>,
    caller: Caller,
    user_id: PathParams<Uuid>,
    if_match: IfMatch,
) -> Result<Tagged<Fetched<UserBudget>>, Fail<(Forbidden, NotFound, PreconditionFailed, Unavailable)>> {
    let spender = Spender::User(UserId(user_id.0));
    let view = state.costs.set_budget(&caller.0, spender, None, &if_match.0).await.map_err(problem)?;
    let own = view.status.own();
    Ok(Tagged::editable(Fetched::new(UserBudget::new(user_id.0, view)), &own))
}
