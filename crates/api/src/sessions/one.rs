//! `GET`, `PATCH` and `DELETE /sessions/{id}`.

use super::{
    create::{PermissionMode, small},
    response::SessionResponse,
    sdk_options::short_items,
};
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    etag::{IfMatch, Tagged},
    plain,
};
use actix_web::web::Data;
use apidoc::{
    Conflict, Done, Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, PreconditionFailed, Unavailable,
    Valid, ValidQuery,
};
use domain::{Session, SessionId, session::SessionPatch};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use uuid::Uuid;
use validator::Validate;

/// What to change; what is left out stays as it is.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct SessionPatchRequest {
    /// null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: Option<Option<String>>,
    /// null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(max = 10_000), custom(function = "plain::lines"))]
    #[schemars(extend("pattern" = plain::LINES))]
    description: Option<Option<String>>,
    /// Replaces all of the metadata. At most 64 KiB.
    #[validate(custom(function = "small"))]
    metadata: Option<Map<String, Value>>,
    permission_mode: Option<PermissionMode>,
    #[validate(length(min = 1, max = 100))]
    #[schemars(extend("pattern" = plain::WITHOUT_NUL))]
    model: Option<String>,
    #[validate(length(max = 500), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    allowed_tools: Option<Vec<String>>,
    /// Replaces all that the session chose. Its next agent is judged by them.
    #[validate(length(max = 100))]
    custom_policies: Option<Vec<String>>,
}

/// Tells null from left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<SessionPatchRequest> for SessionPatch {
    fn from(request: SessionPatchRequest) -> Self {
        Self {
            name: request.name,
            description: request.description,
            metadata: request.metadata.map(Value::Object),
            permission_mode: request.permission_mode.map(|mode| mode.as_str().to_owned()),
            model: request.model,
            allowed_tools: request.allowed_tools,
            custom_policies: request.custom_policies,
        }
    }
}

/// Read a session
///
/// As it is at this moment; `_links` has what belongs to it.
#[api_v2_operation(tags(Sessions), operation_id = "getSession")]
pub async fn get(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Tagged<Fetched<SessionResponse>>, Fail<(NotFound, Unavailable)>> {
    let session = state.sessions.get(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    Ok(tagged(session))
}

/// Change a session
///
/// A running turn goes on; a new model or mode holds from the next prompt at the latest.
#[api_v2_operation(tags(Sessions), operation_id = "updateSession")]
pub async fn patch(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    if_match: IfMatch,
    body: Valid<SessionPatchRequest>,
) -> Result<
    Tagged<Fetched<SessionResponse>>,
    Fail<(Forbidden, NotFound, Conflict, PreconditionFailed, Invalid, Unavailable)>,
> {
    let patched = state.sessions.patch_if(&caller.0, SessionId(id.0), body.0.into(), &if_match.0).await;
    Ok(tagged(patched.map_err(problem)?))
}

fn tagged(session: Session) -> Tagged<Fetched<SessionResponse>> {
    let of = session.clone();
    Tagged::new(Fetched::new(session.into()), &of)
}

/// What is to be removed.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct SessionDeleteQuery {
    /// Removes the history too, and everything else that is kept of the session. What it cost stays on its owner's account.
    #[serde(default)]
    purge: bool,
}

/// End a session and remove its files
///
/// A running turn is stopped. The history stays, unless it is to be purged.
#[api_v2_operation(tags(Sessions), operation_id = "deleteSession")]
pub async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    if_match: IfMatch,
    query: ValidQuery<SessionDeleteQuery>,
) -> Result<Done, Fail<(Forbidden, NotFound, Conflict, PreconditionFailed, Invalid, Unavailable)>> {
    let id = SessionId(id.0);
    match query.0.purge {
        true => state.sessions.purge_if(&caller.0, id, &if_match.0).await,
        false => state.sessions.terminate_if(&caller.0, id, &if_match.0).await,
    }
    .map_err(problem)?;
    Ok(Done)
}
