//! `GET` and `DELETE /session-templates/{id}`.

use super::response::SessionTemplateResponse;
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Done, Fail, Fetched, Forbidden, NotFound, PathParams, Unavailable};
use domain::TemplateId;
use paperclip::actix::api_v2_operation;
use uuid::Uuid;

/// Read a session template
///
/// One's own, one that is shared with the caller, or a public one.
#[api_v2_operation(tags(Templates), operation_id = "getSessionTemplate")]
pub async fn get(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<SessionTemplateResponse>, Fail<(NotFound, Unavailable)>> {
    let template = state.sessions.template(&caller.0, TemplateId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(SessionTemplateResponse::seen_by(&caller.0, template)))
}

/// Delete a session template
///
/// Sessions that were made from it stay, and keep its id. For its owner and admins.
#[api_v2_operation(tags(Templates), operation_id = "deleteSessionTemplate")]
pub async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Done, Fail<(Forbidden, NotFound, Unavailable)>> {
    state.sessions.delete_template(&caller.0, TemplateId(id.0)).await.map_err(problem)?;
    Ok(Done)
}
