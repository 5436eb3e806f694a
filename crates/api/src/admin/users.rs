//! `DELETE /admin/users/{user_id}`: a person goes, with all that is kept of them.

use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Conflict, Done, Fail, Forbidden, NotFound, PathParams, Unavailable};
use domain::UserId;
use paperclip::actix::api_v2_operation;
use uuid::Uuid;

/// Remove a user
///
/// For admins. Their logins and keys end at once, their sessions are ended and removed with all that belongs to them, and
/// their account loses name, address and password. What they cost, what they did in the audit log and the policies they
/// wrote stay, under the id of an account that is nobody's. If it fails half-way, ask again.
#[api_v2_operation(tags(Admin), operation_id = "deleteUser")]
pub async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    user_id: PathParams<Uuid>,
) -> Result<Done, Fail<(Forbidden, NotFound, Conflict, Unavailable)>> {
    let user = UserId(user_id.0);
    state.accounts.erase(&caller.0, user).await.map_err(problem)?;
    state.sessions.purge_all_of(&caller.0, user).await.map_err(problem)?;
    Ok(Done)
}
