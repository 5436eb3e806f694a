//! `POST /hooks`.

use super::response::NewHookResponse;
use crate::{ApiState, caller::Caller, error::problem, plain, word::Word};
use actix_web::web::Data;
use apidoc::{Conflict, Created, Fail, Forbidden, Invalid, Unavailable, Valid};
use domain::{FailMode, HookEndpointKind};
use engine::HookDraft;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use validator::{Validate, ValidationError};

/// What an endpoint has for an answer when nothing else is said.
const TIMEOUT_DEFAULT_MS: u32 = 5_000;

/// A new endpoint.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct HookCreateRequest {
    /// Unique among the caller's; sessions name it in `hooks_enabled`.
    #[validate(length(min = 1, max = 100), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: String,
    /// `https://` and a public address, unless the operator allows others.
    #[validate(length(min = 1, max = 2048), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    url: String,
    /// `decision`: it is asked, the agent waits, and its JSON answer is that of a hook. `notification`: it is told some
    /// time soon, again and again until it answers with a 2xx status.
    kind: Word<HookEndpointKind>,
    /// Events of the agent, such as `PreToolUse` or `Stop`.
    #[validate(length(min = 1, max = 40), custom(function = "words"))]
    #[schemars(inner(length(min = 1, max = 64)))]
    event_types: Vec<String>,
    /// A tool's name, `A|B`, or a regular expression over the whole name. Left out: all tools.
    #[validate(length(max = 1000), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    tool_matcher: Option<String>,
    /// How long it may take to answer, 100 to 30000.
    #[serde(default = "timeout_default")]
    #[schemars(range(min = 100, max = 30_000))]
    timeout_ms: u32,
    /// Lower ones are asked first.
    #[serde(default)]
    order: i32,
    /// What its failure means: `closed`, what was asked about does not happen; `open`, it does. An endpoint that decides
    /// fails closed when this is left out, if its events can be refused.
    fail_mode: Option<Word<FailMode>>,
    #[serde(default = "yes")]
    is_enabled: bool,
    /// Whether every session has it, whoever owns the session. For admins only.
    #[serde(default)]
    is_global: bool,
}

fn timeout_default() -> u32 {
    TIMEOUT_DEFAULT_MS
}

fn yes() -> bool {
    true
}

/// Names of events are short words.
pub fn words(events: &[String]) -> Result<(), ValidationError> {
    if events.iter().all(|event| (1..=64).contains(&event.len())) {
        return Ok(());
    }
    Err(ValidationError::new("item_length").with_message("each must have 1 to 64 characters".into()))
}

impl From<HookCreateRequest> for HookDraft {
    fn from(request: HookCreateRequest) -> Self {
        Self {
            name: request.name,
            url: request.url,
            kind: request.kind.0,
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

/// Make a hook
///
/// The answer holds the secret that messages are signed with, which cannot be read again.
#[api_v2_operation(tags(Hooks), operation_id = "createHook")]
pub async fn create(
    state: Data<ApiState>,
    caller: Caller,
    body: Valid<HookCreateRequest>,
) -> Result<Created<NewHookResponse>, Fail<(Forbidden, Conflict, Invalid, Unavailable)>> {
    let (hook, secret) = state.sessions.create_hook(&caller.0, body.0.into()).await.map_err(problem)?;
    let location = format!("/api/v1/hooks/{}", hook.id);
    let secret = secret.expose_secret().to_owned();
    Ok(Created::at(NewHookResponse { about: hook.into(), secret }, location))
}
