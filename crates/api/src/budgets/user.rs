//! `/monitoring/costs/budget/{user_id}`.

use super::{MonthlyBudgetRequest, response::UserBudget};
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, Unavailable, Valid};
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
) -> Result<Fetched<UserBudget>, Fail<(Forbidden, NotFound, Unavailable)>> {
    let view = state.costs.budget(&caller.0, Spender::User(UserId(user_id.0))).await.map_err(problem)?;
    Ok(Fetched::new(UserBudget::new(user_id.0, view)))
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
    body: Valid<MonthlyBudgetRequest>,
) -> Result<Fetched<UserBudget>, Fail<(Forbidden, NotFound, Invalid, Unavailable)>> {
    let spender = Spender::User(UserId(user_id.0));
    let view = state.costs.set_budget(&caller.0, spender, Some(body.0.terms())).await.map_err(problem)?;
    Ok(Fetched::new(UserBudget::new(user_id.0, view)))
}

/// Return a user to the default budget
///
/// For admins. Answers with what holds then.
#[api_v2_operation(tags(Costs), operation_id = "removeUserBudget")]
pub async fn remove(
    state: Data<ApiState>,
    caller: Caller,
    user_id: PathParams<Uuid>,
) -> Result<Fetched<UserBudget>, Fail<(Forbidden, NotFound, Unavailable)>> {
    let spender = Spender::User(UserId(user_id.0));
    let view = state.costs.set_budget(&caller.0, spender, None).await.map_err(problem)?;
    Ok(Fetched::new(UserBudget::new(user_id.0, view)))
}
