//! `/monitoring/costs/budget/session/{session_id}`.

use super::response::SessionBudget;
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    etag::{IfMatch, Tagged},
    money,
    word::Word,
};
use actix_web::web::Data;
use apidoc::{
    Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, PreconditionFailed, Unavailable, Valid,
};
use domain::{SessionId, Spender, WhenExhausted};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// What a session may cost in all of its life.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct SessionBudgetRequest {
    /// Dollars with at most six decimals; 0 lets nothing be spent.
    #[validate(custom(function = "money::named"))]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    budget_usd: f64,
    /// What happens when it is spent; `block` when left out.
    when_exhausted: Option<Word<WhenExhausted>>,
}

/// Read a session's budget
///
/// For its owner and admins.
#[api_v2_operation(tags(Costs), operation_id = "getSessionBudget")]
pub async fn read(
    state: Data<ApiState>,
    caller: Caller,
    session_id: PathParams<Uuid>,
) -> Result<Tagged<Fetched<SessionBudget>>, Fail<(Forbidden, NotFound, Unavailable)>> {
    let view = state.costs.budget(&caller.0, spender(&session_id)).await.map_err(problem)?;
    Ok(Tagged::editable(Fetched::new(SessionBudget::new(session_id.0, &view)), &view.status.own()))
}

/// Set a session's budget
///
/// For its owner and admins. It bounds the session beside the budgets of its owner and their team.
#[api_v2_operation(tags(Costs), operation_id = "setSessionBudget")]
pub async fn set(
    state: Data<ApiState>,
    caller: Caller,
    session_id: PathParams<Uuid>,
    if_match: IfMatch,
    body: Valid<SessionBudgetRequest>,
) -> Result<
    Tagged<Fetched<SessionBudget>>,
    Fail<(Forbidden, NotFound, PreconditionFailed, Invalid, Unavailable)>,
> {
    let terms = (money::amount(body.0.budget_usd), body.0.when_exhausted.map(|manner| manner.0));
    let set = state.costs.set_budget(&caller.0, spender(&session_id), Some(terms), &if_match.0).await;
    let view = set.map_err(problem)?;
    Ok(Tagged::editable(Fetched::new(SessionBudget::new(session_id.0, &view)), &view.status.own()))
}

/// Take away a session's budget
///
/// For its owner and admins.
#[api_v2_operation(tags(Costs), operation_id = "removeSessionBudget")]
pub async fn remove(
    state: Data<ApiState>,
    caller: Caller,
    session_id: PathParams<Uuid>,
    if_match: IfMatch,
) -> Result<Tagged<Fetched<SessionBudget>>, Fail<(Forbidden, NotFound, PreconditionFailed, Unavailable)>> {
    let view =
        state.costs.set_budget(&caller.0, spender(&session_id), None, &if_match.0).await.map_err(problem)?;
    Ok(Tagged::editable(Fetched::new(SessionBudget::new(session_id.0, &view)), &view.status.own()))
}

fn spender(id: &PathParams<Uuid>) -> Spender {
    Spender::Session(SessionId(id.0))
}
