//! `POST /sessions/{id}/fork`.

use super::{
    create::{PermissionMode, small, to_ms},
    response::SessionResponse,
    sdk_options::{SdkOptions, short_items},
};
use crate::{ApiState, caller::Caller, error::problem, plain};
use actix_web::web::Data;
use apidoc::{
    BudgetExhausted, Conflict, Created, Fail, Forbidden, Invalid, NotFound, PathParams, TooMany, Unavailable,
    ValidOr,
};
use domain::SessionId;
use engine::{ForkDraft, SessionDraft};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;
use validator::Validate;

/// How to fork; what is left out is as the parent has it.
#[derive(Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "if" = {
        "properties": { "include_working_directory": { "const": true } },
        "required": ["include_working_directory"],
    },
    "then" = { "properties": { "working_directory": { "type": "null" } } },
))]
pub struct ForkRequest {
    /// The parent's with ` (fork)` when left out.
    #[validate(length(max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: Option<String>,
    #[validate(length(max = 10_000), custom(function = "plain::lines"))]
    #[schemars(extend("pattern" = plain::LINES))]
    description: Option<String>,
    /// The number of the last message that is taken along: 0 takes none; left out, all are, or all that are complete
    /// while a turn runs.
    fork_at_message: Option<u64>,
    /// Whether the parent's files are copied. Left out, they are, unless the parent works in a directory that was there
    /// before it, which the fork then shares.
    include_working_directory: Option<bool>,
    /// Where the fork works instead; no files are copied there.
    #[validate(length(min = 1, max = 1024))]
    working_directory: Option<String>,
    #[validate(length(max = 500), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    allowed_tools: Option<Vec<String>>,
    #[validate(length(min = 1, max = 100_000))]
    #[schemars(extend("pattern" = plain::WITHOUT_NUL))]
    system_prompt: Option<String>,
    /// Replaces all of the parent's.
    #[validate(nested)]
    sdk_options: Option<SdkOptions>,
    /// Replaces all of the parent's. At most 64 KiB.
    #[validate(custom(function = "small"))]
    metadata: Option<Map<String, Value>>,
    include_partial_messages: Option<bool>,
    #[validate(range(max = 10))]
    max_retries: Option<u32>,
    /// Seconds before the first retry; doubles with each.
    #[validate(range(min = 0.0, max = 300.0))]
    retry_delay: Option<f64>,
    /// How long a turn may take.
    #[validate(range(min = 1, max = 86_400))]
    timeout_seconds: Option<u32>,
    #[validate(length(max = 100))]
    hooks_enabled: Option<Vec<String>>,
    permission_mode: Option<PermissionMode>,
    #[validate(length(max = 100))]
    custom_policies: Option<Vec<String>>,
}

impl From<ForkRequest> for ForkDraft {
    fn from(request: ForkRequest) -> Self {
        Self {
            at_message: request.fork_at_message,
            include_working_directory: request.include_working_directory,
            session: SessionDraft {
                name: request.name,
                description: request.description,
                working_directory: request.working_directory,
                allowed_tools: request.allowed_tools,
                system_prompt: request.system_prompt,
                sdk_options: request.sdk_options.map(Into::into),
                metadata: request.metadata.map(Value::Object),
                include_partial_messages: request.include_partial_messages,
                max_retries: request.max_retries,
                retry_delay_ms: request.retry_delay.map(to_ms),
                timeout_seconds: request.timeout_seconds,
                hooks_enabled: request.hooks_enabled,
                permission_mode: request.permission_mode.map(|mode| mode.as_str().to_owned()),
                custom_policies: request.custom_policies,
                ..SessionDraft::default()
            },
        }
    }
}

/// Fork a session
///
/// Begins a session of the caller's where this one is, or was after one of its messages: with the conversation up to
/// there, the same settings, and a copy of the files. Its costs begin at zero. `working_directory_source` says where the
/// files come from. Any session can be forked, whatever its state.
#[api_v2_operation(tags(Sessions), operation_id = "forkSession")]
pub async fn fork(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    body: ValidOr<ForkRequest>,
) -> Result<
    Created<SessionResponse>,
    Fail<(BudgetExhausted, Forbidden, NotFound, Conflict, Invalid, TooMany, Unavailable)>,
> {
    let session = state.sessions.fork(&caller.0, SessionId(id.0), body.0.into()).await.map_err(problem)?;
    let location = format!("/api/v1/sessions/{}", session.id);
    Ok(Created::at(session.into(), location))
}
