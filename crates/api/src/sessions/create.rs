//! `POST /sessions`.

use super::{
    response::SessionResponse,
    sdk_options::{SdkOptions, short_items},
};
use crate::{ApiState, caller::Caller, error::problem, money, plain, prompt::Prompt, word::Word};
use actix_web::web::Data;
use apidoc::{
    BudgetExhausted, Conflict, Created, Fail, Forbidden, Invalid, NotFound, TooMany, Unavailable, Valid,
};
use domain::{SessionId, SessionMode, TemplateId};
use engine::SessionDraft;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use validator::{Validate, ValidationError};

/// Largest metadata, in bytes of JSON.
const METADATA_BYTES_MAX: usize = 64 * 1024;

/// A new session; what is left out gets the server's default.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(example = example())]
pub struct SessionCreateRequest {
    /// A template that fills what is left out here; of `sdk_options`, each option by itself. Not for forks.
    template_id: Option<Uuid>,
    #[validate(length(max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: Option<String>,
    #[validate(length(max = 10_000), custom(function = "plain::lines"))]
    #[schemars(extend("pattern" = plain::LINES))]
    description: Option<String>,
    /// Where the agent works: inside the caller's own folder (relative paths start there), or inside a directory the
    /// operator shared. Left out, the session gets a directory of its own.
    #[validate(length(min = 1, max = 1024))]
    working_directory: Option<String>,
    /// Tools, or patterns such as `Bash(git:*)`, that run without asking.
    #[validate(length(max = 500), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    allowed_tools: Option<Vec<String>>,
    /// Replaces the built-in system prompt.
    #[validate(length(min = 1, max = 100_000))]
    #[schemars(extend("pattern" = plain::WITHOUT_NUL))]
    system_prompt: Option<String>,
    #[validate(nested)]
    sdk_options: Option<SdkOptions>,
    /// Anything; it is kept and given back. At most 64 KiB.
    #[validate(custom(function = "small"))]
    metadata: Option<Map<String, Value>>,
    /// `interactive` when left out. `forked` begins where another session is, as `POST /sessions/{id}/fork` does; what
    /// is left out is as that one has it.
    mode: Option<Word<SessionMode>>,
    /// The session that is forked; only with `mode: forked`.
    parent_session_id: Option<Uuid>,
    /// The last message that the fork takes along; left out, all.
    fork_at_message: Option<u64>,
    /// Whether streams show the answer while it is written.
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
    /// Policies that judge its tool calls beside the mandatory ones, by name.
    #[validate(length(max = 100))]
    custom_policies: Option<Vec<String>>,
    /// The most that the session may cost in all of its life, in dollars with at most six decimals; then its requests
    /// are refused. `PUT /monitoring/costs/budget/session/{id}` changes it.
    #[validate(custom(function = "money::named"))]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    budget_usd: Option<f64>,
    /// The first prompt; a background session needs one.
    #[validate(nested)]
    initial_message: Option<Prompt>,
}

/// What happens when the agent wants to use a tool that is not allowed beforehand.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PermissionMode {
    Default,
    AcceptEdits,
    Plan,
    DontAsk,
    Auto,
    BypassPermissions,
}

impl PermissionMode {
    /// The word the CLI knows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::AcceptEdits => "acceptEdits",
            Self::Plan => "plan",
            Self::DontAsk => "dontAsk",
            Self::Auto => "auto",
            Self::BypassPermissions => "bypassPermissions",
        }
    }
}

/// A session as people begin one.
fn example() -> Value {
    json!({
        "name": "nightly-review",
        "allowed_tools": ["Bash(cargo test:*)", "Read"],
        "include_partial_messages": true,
        "timeout_seconds": 600,
        "metadata": { "ticket": "OPS-17" },
    })
}

/// Metadata must not be a place to store files.
pub fn small(metadata: &Map<String, Value>) -> Result<(), ValidationError> {
    let fits = serde_json::to_vec(metadata).is_ok_and(|json| json.len() <= METADATA_BYTES_MAX);
    if fits {
        return Ok(());
    }
    Err(ValidationError::new("size").with_message("must be at most 65536 bytes of JSON".into()))
}

impl From<SessionCreateRequest> for SessionDraft {
    fn from(request: SessionCreateRequest) -> Self {
        Self {
            id: None,
            template_id: request.template_id.map(TemplateId),
            name: request.name,
            description: request.description,
            mode: request.mode.map(|mode| mode.0),
            working_directory: request.working_directory,
            allowed_tools: request.allowed_tools,
            system_prompt: request.system_prompt,
            sdk_options: request.sdk_options.map(Into::into),
            metadata: request.metadata.map(Value::Object),
            parent_session_id: request.parent_session_id.map(SessionId),
            fork_at_message: request.fork_at_message,
            include_partial_messages: request.include_partial_messages,
            max_retries: request.max_retries,
            retry_delay_ms: request.retry_delay.map(to_ms),
            timeout_seconds: request.timeout_seconds,
            hooks_enabled: request.hooks_enabled,
            permission_mode: request.permission_mode.map(|mode| mode.as_str().to_owned()),
            custom_policies: request.custom_policies,
            budget: request.budget_usd.map(money::amount),
            initial_message: request.initial_message.map(Prompt::into_value),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "validation keeps it between 0 and 300 seconds"
)]
pub fn to_ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

/// Create a session
///
/// With an `initial_message` its first turn starts as soon as there is a slot for it.
#[api_v2_operation(tags(Sessions), operation_id = "createSession")]
pub async fn create(
    state: Data<ApiState>,
    caller: Caller,
    body: Valid<SessionCreateRequest>,
) -> Result<
    Created<SessionResponse>,
    Fail<(BudgetExhausted, Forbidden, NotFound, Conflict, Invalid, TooMany, Unavailable)>,
> {
    let session = state.sessions.create(&caller.0, body.0.into()).await.map_err(problem)?;
    let location = format!("/api/v1/sessions/{}", session.id);
    Ok(Created::at(session.into(), location))
}
