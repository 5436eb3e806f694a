//! `PATCH /session-templates/{id}/sharing`.

use super::response::SessionTemplateResponse;
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, Unavailable, Valid};
use domain::{TemplateId, UserId};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// With whom to share; what is left out stays as it is.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct TemplateSharingRequest {
    /// Whether everybody may see and use it.
    is_public: Option<bool>,
    /// Ids of all users who may, beside its owner; an empty list takes it back from everybody.
    #[validate(length(max = 200))]
    shared_with: Option<Vec<Uuid>>,
}

/// Share a session template
///
/// For its owner and admins. Sessions that others made from it stay.
#[api_v2_operation(tags(Templates), operation_id = "shareSessionTemplate")]
pub async fn share(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    body: Valid<TemplateSharingRequest>,
) -> Result<Fetched<SessionTemplateResponse>, Fail<(Forbidden, NotFound, Invalid, Unavailable)>> {
    let TemplateSharingRequest { is_public, shared_with } = body.0;
    let shared_with = shared_with.map(|users| users.into_iter().map(UserId).collect());
    let shared = state.sessions.share_template(&caller.0, TemplateId(id.0), is_public, shared_with).await;
    Ok(Fetched::new(SessionTemplateResponse::seen_by(&caller.0, shared.map_err(problem)?)))
}
