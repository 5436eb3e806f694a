//! `POST /hooks/{id}/rotate-secret`.

use super::response::NewHookResponse;
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, NotFound, PathParams, Unavailable};
use domain::HookEndpointId;
use paperclip::actix::api_v2_operation;
use secrecy::ExposeSecret;
use uuid::Uuid;

/// Give a hook a new secret
///
/// For a day messages are signed with the old one as well, so that receivers can change over.
#[api_v2_operation(tags(Hooks), operation_id = "rotateHookSecret")]
pub async fn rotate(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<NewHookResponse>, Fail<(Forbidden, NotFound, Unavailable)>> {
    let rotated = state.sessions.rotate_hook_secret(&caller.0, HookEndpointId(id.0)).await;
    let (hook, secret) = rotated.map_err(problem)?;
    let secret = secret.expose_secret().to_owned();
    Ok(Fetched::new(NewHookResponse { about: hook.into(), secret }))
}
