//! `GET`, `PATCH` and `DELETE /hooks/{id}`.

use super::{create::words, response::HookResponse};
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    etag::{IfMatch, Tagged},
    plain,
    word::Word,
};
use actix_web::web::Data;
use apidoc::{
    Conflict, Done, Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, PreconditionFailed, Unavailable,
    Valid,
};
use domain::{FailMode, HookEndpoint, HookEndpointId, HookEndpointKind, hook::HookEndpointPatch};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;
use validator::Validate;

/// What to change; what is left out stays as it is.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct HookPatchRequest {
    #[validate(length(min = 1, max = 100), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: Option<String>,
    #[validate(length(min = 1, max = 2048), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    url: Option<String>,
    kind: Option<Word<HookEndpointKind>>,
    #[validate(length(min = 1, max = 40), custom(function = "words"))]
    #[schemars(inner(length(min = 1, max = 64)))]
    event_types: Option<Vec<String>>,
    /// null matches all tools.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(max = 1000), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    tool_matcher: Option<Option<String>>,
    #[schemars(range(min = 100, max = 30_000))]
    timeout_ms: Option<u32>,
    order: Option<i32>,
    fail_mode: Option<Word<FailMode>>,
    /// A disabled hook is neither asked nor told; what was to be sent to it waits.
    is_enabled: Option<bool>,
    is_global: Option<bool>,
}

/// Tells null from left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<HookPatchRequest> for HookEndpointPatch {
    fn from(request: HookPatchRequest) -> Self {
        Self {
            name: request.name,
            url: request.url,
            kind: request.kind.map(|kind| kind.0),
            event_types: request.event_types,
            tool_matcher: request.tool_matcher,
            timeout_ms: request.timeout_ms,
            order: request.order,
            fail_mode: request.fail_mode.map(|mode| mode.0),
            is_enabled: request.is_enabled,
            is_global: request.is_global,
        }
    }
}

/// Read a hook
///
/// Its secret was shown once and is not among it.
#[api_v2_operation(tags(Hooks), operation_id = "getHook")]
pub async fn get(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Tagged<Fetched<HookResponse>>, Fail<(NotFound, Unavailable)>> {
    let hook = state.sessions.hook(&caller.0, HookEndpointId(id.0)).await.map_err(problem)?;
    Ok(tagged(hook))
}

/// Change a hook
///
/// It holds from the next prompt of a session on; a running turn ends with what it began with.
#[api_v2_operation(tags(Hooks), operation_id = "updateHook")]
pub async fn patch(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    if_match: IfMatch,
    body: Valid<HookPatchRequest>,
) -> Result<
    Tagged<Fetched<HookResponse>>,
    Fail<(Forbidden, NotFound, Conflict, PreconditionFailed, Invalid, Unavailable)>,
> {
    let id = HookEndpointId(id.0);
    let patched = state.sessions.patch_hook(&caller.0, id, body.0.into(), &if_match.0).await;
    Ok(tagged(patched.map_err(problem)?))
}

fn tagged(hook: HookEndpoint) -> Tagged<Fetched<HookResponse>> {
    let of = hook.clone();
    Tagged::new(Fetched::new(hook.into()), &of)
}

/// Delete a hook
///
/// What was to be sent to it goes with it. A session that names it cannot be prompted any more.
#[api_v2_operation(tags(Hooks), operation_id = "deleteHook")]
pub async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    if_match: IfMatch,
) -> Result<Done, Fail<(Forbidden, NotFound, PreconditionFailed, Unavailable)>> {
    state.sessions.delete_hook(&caller.0, HookEndpointId(id.0), &if_match.0).await.map_err(problem)?;
    Ok(Done)
}
