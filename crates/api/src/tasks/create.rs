//! `POST /tasks`.

use super::response::{NewTaskResponse, TaskResponse};
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    plain,
    session_templates::write::short_tags,
    sessions::{
        create::{PermissionMode, to_ms},
        sdk_options::{SdkOptions, short_items},
    },
    word::Word,
};
use actix_web::web::Data;
use apidoc::{Conflict, Created, Fail, Forbidden, Invalid, Unavailable, Valid};
use domain::{ReportFormat, TaskSpec};
use engine::TaskDraft;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value};
use validator::Validate;

/// A new task.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "if" = { "properties": { "is_scheduled": { "const": true } }, "required": ["is_scheduled"] },
    "then" = { "properties": { "schedule_cron": { "type": "string" } }, "required": ["schedule_cron"] },
))]
pub struct TaskCreateRequest {
    #[validate(length(min = 1, max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: String,
    #[validate(length(max = 10_000), custom(function = "plain::lines"))]
    #[schemars(extend("pattern" = plain::LINES))]
    description: Option<String>,
    /// What the agent is asked, with `{{variable}}` where a variable goes: Jinja with its filters, conditions and loops,
    /// as minijinja has them. It reaches nothing but its variables.
    #[validate(length(min = 1, max = 100_000))]
    prompt_template: String,
    /// Variables that hold where an execution does not give them.
    #[serde(default)]
    default_variables: Map<String, Value>,
    /// Tools, or patterns such as `Bash(git:*)`, that run without asking.
    #[validate(length(max = 500), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    allowed_tools: Option<Vec<String>>,
    /// Tools that the agent does not get, beside those in `sdk_options`.
    #[serde(default)]
    #[validate(length(max = 500), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    disallowed_tools: Vec<String>,
    #[validate(nested)]
    sdk_options: Option<SdkOptions>,
    /// Replaces the built-in system prompt.
    #[validate(length(min = 1, max = 100_000))]
    #[schemars(extend("pattern" = plain::WITHOUT_NUL))]
    system_prompt: Option<String>,
    /// Where the agent works, as of a session. Left out, each execution gets a directory of its own.
    #[validate(length(min = 1, max = 1024))]
    working_directory: Option<String>,
    permission_mode: Option<PermissionMode>,
    #[validate(length(max = 100))]
    hooks_enabled: Option<Vec<String>>,
    #[validate(length(max = 100))]
    custom_policies: Option<Vec<String>>,
    /// How long an attempt may take.
    #[validate(range(min = 1, max = 86_400))]
    timeout_seconds: Option<u32>,
    /// Whether it runs by itself; then it needs a `schedule_cron`, and defaults for all its variables.
    #[serde(default)]
    is_scheduled: bool,
    /// When: minute, hour, day of month, month and day of week, as cron has them; names, lists, ranges, steps, and
    /// `@daily` and its like.
    #[validate(length(min = 1, max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    schedule_cron: Option<String>,
    /// The IANA name of the zone in which that is meant. Where its clock goes forward, what the missing hour held runs
    /// right after; where it goes back, a fixed time runs once.
    #[serde(default = "utc")]
    #[validate(length(min = 1, max = 64), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    timezone: String,
    /// Whether the schedule is on.
    #[serde(default = "yes")]
    schedule_enabled: bool,
    /// Whether each execution is followed by a report.
    #[serde(default)]
    generate_report: bool,
    /// `json` when left out.
    report_format: Option<Word<ReportFormat>>,
    /// Where the end of each execution is told, in a signed message: `https://` and a public address, unless the
    /// operator allows others.
    #[validate(length(min = 1, max = 2048), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    notification_webhook: Option<String>,
    /// Whether the session of each execution is archived after its end.
    #[serde(default)]
    auto_archive: bool,
    /// Kept in lower case, each once.
    #[serde(default)]
    #[validate(length(max = 50), custom(function = "short_tags"))]
    #[schemars(inner(length(min = 1, max = 100), regex(pattern = plain::LINE)))]
    tags: Vec<String>,
    /// Executions of higher ones begin first.
    #[serde(default)]
    #[validate(range(min = -100, max = 100))]
    priority: i32,
    /// How often an execution is begun anew after an attempt that failed before the agent had used a tool.
    #[serde(default = "retries_default")]
    #[validate(range(max = 10))]
    max_retries: u32,
    /// Seconds before the first of these; doubles with each.
    #[serde(default = "delay_default")]
    #[validate(range(min = 0.0, max = 300.0))]
    retry_delay: f64,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn yes() -> bool {
    true
}

fn retries_default() -> u32 {
    3
}

fn delay_default() -> f64 {
    2.0
}

impl From<TaskCreateRequest> for TaskDraft {
    fn from(request: TaskCreateRequest) -> Self {
        let spec = TaskSpec {
            prompt_template: request.prompt_template,
            default_variables: request.default_variables,
            allowed_tools: request.allowed_tools,
            disallowed_tools: request.disallowed_tools,
            sdk_options: request.sdk_options.map(Into::into).unwrap_or_default(),
            system_prompt: request.system_prompt,
            working_directory: request.working_directory,
            permission_mode: request.permission_mode.map(|mode| mode.as_str().to_owned()),
            hooks_enabled: request.hooks_enabled,
            custom_policies: request.custom_policies,
            timeout_seconds: request.timeout_seconds,
            generate_report: request.generate_report,
            report_format: request.report_format.map(|format| format.0.as_str().to_owned()),
            notification_webhook: request.notification_webhook,
            auto_archive: request.auto_archive,
        };
        Self {
            name: request.name,
            description: request.description,
            spec,
            tags: request.tags,
            is_scheduled: request.is_scheduled,
            schedule_cron: request.schedule_cron,
            timezone: request.timezone,
            schedule_enabled: request.schedule_enabled,
            priority: request.priority,
            max_retries: request.max_retries,
            retry_delay_ms: to_ms(request.retry_delay),
        }
    }
}

/// Make a task
///
/// With a `notification_webhook`, the answer holds the secret that its messages are signed with, which cannot be read
/// again.
#[api_v2_operation(tags(Tasks), operation_id = "createTask")]
pub async fn create(
    state: Data<ApiState>,
    caller: Caller,
    body: Valid<TaskCreateRequest>,
) -> Result<Created<NewTaskResponse>, Fail<(Forbidden, Conflict, Invalid, Unavailable)>> {
    let (task, secret) = state.tasks.create_task(&caller.0, body.0.into()).await.map_err(problem)?;
    let location = format!("/api/v1/tasks/{}", task.id);
    let webhook_secret = secret.map(|secret| secret.expose_secret().to_owned());
    let about = TaskResponse::of(&state.tasks, task);
    Ok(Created::at(NewTaskResponse { about, webhook_secret }, location))
}
