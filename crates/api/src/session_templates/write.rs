//! `POST /session-templates` and `PUT /session-templates/{id}`.

use super::response::SessionTemplateResponse;
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    plain,
    sessions::{
        create::{PermissionMode, small},
        sdk_options::{SdkOptions, short_items},
    },
};
use actix_web::web::Data;
use apidoc::{
    Conflict, Created, Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, Unavailable, Valid,
};
use domain::{
    TemplateId,
    template::{TemplateContent, TemplateSettings},
};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;
use validator::{Validate, ValidationError};

/// Longest tag, in characters.
const TAG_CHARS_MAX: usize = 100;

/// A template, whole. What is left out is left to the session, or to the server's defaults.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct SessionTemplateRequest {
    #[validate(length(min = 1, max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: String,
    #[validate(length(max = 10_000), custom(function = "plain::lines"))]
    #[schemars(extend("pattern" = plain::LINES))]
    description: Option<String>,
    #[validate(length(min = 1, max = 100), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    category: Option<String>,
    /// Kept in lower case, each once.
    #[serde(default)]
    #[validate(length(max = 50), custom(function = "short_tags"))]
    #[schemars(inner(length(min = 1, max = 100), regex(pattern = plain::LINE)))]
    tags: Vec<String>,
    /// Whether everybody may see and use it.
    #[serde(default)]
    is_public: bool,
    /// As of a session; it is looked for when one is made, below the folder of whoever makes it.
    #[validate(length(min = 1, max = 1024))]
    working_directory: Option<String>,
    #[validate(length(max = 500), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    allowed_tools: Option<Vec<String>>,
    #[validate(length(min = 1, max = 100_000))]
    #[schemars(extend("pattern" = plain::WITHOUT_NUL))]
    system_prompt: Option<String>,
    /// Those who may use the template can read all of this, also what stands in `env` and `mcp_servers`.
    #[validate(nested)]
    sdk_options: Option<SdkOptions>,
    permission_mode: Option<PermissionMode>,
    #[validate(length(max = 100))]
    hooks_enabled: Option<Vec<String>>,
    #[validate(length(max = 100))]
    custom_policies: Option<Vec<String>>,
    /// The session's metadata, if the request for it has none. At most 64 KiB.
    #[validate(custom(function = "small"))]
    metadata: Option<Map<String, Value>>,
}

/// Tags are words: 1 to 100 characters on one line.
pub fn short_tags(tags: &[String]) -> Result<(), ValidationError> {
    let fits = |tag: &String| {
        !tag.trim().is_empty() && tag.chars().count() <= TAG_CHARS_MAX && plain::line(tag).is_ok()
    };
    if tags.iter().all(fits) {
        return Ok(());
    }
    let message = "each must have 1 to 100 characters, and no control characters";
    Err(ValidationError::new("item_length").with_message(message.into()))
}

impl SessionTemplateRequest {
    /// What is kept of it, and whether it is public.
    fn into_content(self) -> (TemplateContent, bool) {
        let settings = TemplateSettings {
            working_directory: self.working_directory,
            allowed_tools: self.allowed_tools,
            system_prompt: self.system_prompt,
            sdk_options: self.sdk_options.map(Into::into),
            permission_mode: self.permission_mode.map(|mode| mode.as_str().to_owned()),
            hooks_enabled: self.hooks_enabled,
            custom_policies: self.custom_policies,
            metadata: self.metadata.map(Value::Object),
        };
        let content = TemplateContent {
            name: self.name,
            description: self.description,
            category: self.category,
            tags: self.tags,
            settings,
        };
        (content, self.is_public)
    }
}

/// Make a session template
///
/// `template_id` of `POST /sessions` fills what the request leaves out. Only its owner sees it, unless it is public or
/// shared.
#[api_v2_operation(tags(Templates), operation_id = "createSessionTemplate")]
pub async fn create(
    state: Data<ApiState>,
    caller: Caller,
    body: Valid<SessionTemplateRequest>,
) -> Result<Created<SessionTemplateResponse>, Fail<(Forbidden, Conflict, Invalid, Unavailable)>> {
    let (content, is_public) = body.0.into_content();
    let template = state.sessions.create_template(&caller.0, content, is_public).await.map_err(problem)?;
    let location = format!("/api/v1/session-templates/{}", template.id);
    Ok(Created::at(SessionTemplateResponse::seen_by(&caller.0, template), location))
}

/// Replace a session template
///
/// All of it, but whom it is shared with by name. Sessions that were made from it stay as they are. For its owner and
/// admins.
#[api_v2_operation(tags(Templates), operation_id = "replaceSessionTemplate")]
pub async fn replace(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    body: Valid<SessionTemplateRequest>,
) -> Result<Fetched<SessionTemplateResponse>, Fail<(Forbidden, NotFound, Invalid, Unavailable)>> {
    let (content, is_public) = body.0.into_content();
    let replaced = state.sessions.replace_template(&caller.0, TemplateId(id.0), content, is_public).await;
    Ok(Fetched::new(SessionTemplateResponse::seen_by(&caller.0, replaced.map_err(problem)?)))
}
