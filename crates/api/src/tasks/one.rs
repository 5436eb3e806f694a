//! `GET`, `PATCH` and `DELETE /tasks/{id}`.

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
use apidoc::{Done, Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, Unavailable, Valid};
use domain::{ReportFormat, TaskId};
use engine::TaskChanges;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use uuid::Uuid;
use validator::Validate;

/// What to change; what is left out stays as it is, and null takes away what may be missing.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "if" = { "properties": { "is_scheduled": { "const": true } }, "required": ["is_scheduled"] },
    "then" = { "properties": { "schedule_cron": { "type": "string" } } },
))]
pub struct TaskPatchRequest {
    #[validate(length(min = 1, max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(max = 10_000), custom(function = "plain::lines"))]
    #[schemars(extend("pattern" = plain::LINES))]
    description: Option<Option<String>>,
    #[validate(length(min = 1, max = 100_000))]
    prompt_template: Option<String>,
    /// Replaces all of them.
    default_variables: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Vec<String>>")]
    #[validate(length(max = 500), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    allowed_tools: Option<Option<Vec<String>>>,
    #[validate(length(max = 500), custom(function = "short_items"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = plain::WITHOUT_NUL)))]
    disallowed_tools: Option<Vec<String>>,
    /// Replaces all of them.
    #[validate(nested)]
    sdk_options: Option<SdkOptions>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 1, max = 100_000))]
    #[schemars(extend("pattern" = plain::WITHOUT_NUL))]
    system_prompt: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 1, max = 1024))]
    working_directory: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<PermissionMode>")]
    permission_mode: Option<Option<PermissionMode>>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Vec<String>>")]
    #[validate(length(max = 100))]
    hooks_enabled: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Vec<String>>")]
    #[validate(length(max = 100))]
    custom_policies: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<u32>")]
    #[validate(range(min = 1, max = 86_400))]
    timeout_seconds: Option<Option<u32>>,
    is_scheduled: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 1, max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    schedule_cron: Option<Option<String>>,
    #[validate(length(min = 1, max = 64), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    timezone: Option<String>,
    schedule_enabled: Option<bool>,
    generate_report: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Word<ReportFormat>>")]
    report_format: Option<Option<Word<ReportFormat>>>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 1, max = 2048), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    notification_webhook: Option<Option<String>>,
    auto_archive: Option<bool>,
    #[validate(length(max = 50), custom(function = "short_tags"))]
    #[schemars(inner(length(min = 1, max = 100), regex(pattern = plain::LINE)))]
    tags: Option<Vec<String>>,
    #[validate(range(min = -100, max = 100))]
    priority: Option<i32>,
    #[validate(range(max = 10))]
    max_retries: Option<u32>,
    #[validate(range(min = 0.0, max = 300.0))]
    retry_delay: Option<f64>,
}

/// Tells null from left out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<TaskPatchRequest> for TaskChanges {
    fn from(request: TaskPatchRequest) -> Self {
        let mode = |mode: PermissionMode| mode.as_str().to_owned();
        let format = |format: Word<ReportFormat>| format.0.as_str().to_owned();
        Self {
            name: request.name,
            description: request.description,
            prompt_template: request.prompt_template,
            default_variables: request.default_variables,
            allowed_tools: request.allowed_tools,
            disallowed_tools: request.disallowed_tools,
            sdk_options: request.sdk_options.map(Into::into),
            system_prompt: request.system_prompt,
            working_directory: request.working_directory,
            permission_mode: request.permission_mode.map(|given| given.map(mode)),
            hooks_enabled: request.hooks_enabled,
            custom_policies: request.custom_policies,
            timeout_seconds: request.timeout_seconds,
            generate_report: request.generate_report,
            report_format: request.report_format.map(|given| given.map(format)),
            notification_webhook: request.notification_webhook,
            auto_archive: request.auto_archive,
            tags: request.tags,
            is_scheduled: request.is_scheduled,
            schedule_cron: request.schedule_cron,
            timezone: request.timezone,
            schedule_enabled: request.schedule_enabled,
            priority: request.priority,
            max_retries: request.max_retries,
            retry_delay_ms: request.retry_delay.map(to_ms),
        }
    }
}

/// Read a task
///
/// With its next runs, if it has a schedule.
#[api_v2_operation(tags(Tasks), operation_id = "getTask")]
pub async fn get(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<TaskResponse>, Fail<(NotFound, Unavailable)>> {
    let task = state.tasks.task(&caller.0, TaskId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(TaskResponse::of(&state.tasks, task)))
}

/// Change a task
///
/// Executions that wait or run go on as they were asked for. A schedule that changes runs next when it says so from now
/// on. If this gives the task its first webhook, the answer holds its secret.
#[api_v2_operation(tags(Tasks), operation_id = "updateTask")]
pub async fn patch(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    body: Valid<TaskPatchRequest>,
) -> Result<Fetched<NewTaskResponse>, Fail<(Forbidden, NotFound, Invalid, Unavailable)>> {
    let patched = state.tasks.patch_task(&caller.0, TaskId(id.0), body.0.into()).await;
    let (task, secret) = patched.map_err(problem)?;
    let webhook_secret = secret.map(|secret| secret.expose_secret().to_owned());
    Ok(Fetched::new(NewTaskResponse { about: TaskResponse::of(&state.tasks, task), webhook_secret }))
}

/// Delete a task
///
/// It runs no more. Executions that wait or run go on, without report, archive and message after their end; all of them
/// stay readable.
#[api_v2_operation(tags(Tasks), operation_id = "deleteTask")]
pub async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Done, Fail<(Forbidden, NotFound, Unavailable)>> {
    state.tasks.delete_task(&caller.0, TaskId(id.0)).await.map_err(problem)?;
    Ok(Done)
}
