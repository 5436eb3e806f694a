//! `/auth/logout` and `/auth/logout-all`: the end of one login, or of all.

use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Done, Fail, Forbidden, Unavailable};
use paperclip::actix::api_v2_operation;

/// End this login
///
/// Its access and refresh tokens stop working at once.
#[api_v2_operation(tags(Auth), operation_id = "logout")]
pub async fn logout(state: Data<ApiState>, caller: Caller) -> Result<Done, Fail<(Forbidden, Unavailable)>> {
    state.accounts.logout(&caller.0).await.map_err(problem)?;
    Ok(Done)
}

/// End every login of the caller
///
/// API keys stay; they are deleted one by one.
#[api_v2_operation(tags(Auth), operation_id = "logoutAll")]
pub async fn logout_all(
    state: Data<ApiState>,
    caller: Caller,
) -> Result<Done, Fail<(Forbidden, Unavailable)>> {
    state.accounts.logout_all(&caller.0).await.map_err(problem)?;
    Ok(Done)
}
