//! A task as clients see it.

use crate::{
    sessions::{response::to_seconds, sdk_options::SdkOptions},
    word::Word,
};
use domain::{ReportFormat, Task};
use engine::TaskManager;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// A task, without its secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TaskResponse {
    id: Uuid,
    user_id: Uuid,
    name: String,
    description: Option<String>,
    prompt_template: String,
    default_variables: Map<String, Value>,
    allowed_tools: Option<Vec<String>>,
    disallowed_tools: Vec<String>,
    sdk_options: SdkOptions,
    system_prompt: Option<String>,
    working_directory: Option<String>,
    permission_mode: Option<String>,
    hooks_enabled: Option<Vec<String>>,
    custom_policies: Option<Vec<String>>,
    timeout_seconds: Option<u32>,
    is_scheduled: bool,
    schedule_cron: Option<String>,
    timezone: String,
    schedule_enabled: bool,
    /// When it runs by itself next; null if it does not.
    next_run_at: Option<Timestamp>,
    /// The next times that its schedule has, at most five.
    upcoming_runs: Vec<Timestamp>,
    generate_report: bool,
    report_format: Option<Word<ReportFormat>>,
    notification_webhook: Option<String>,
    auto_archive: bool,
    tags: Vec<String>,
    priority: i32,
    max_retries: u32,
    /// Seconds.
    retry_delay: f64,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(rename = "_links")]
    links: TaskLinks,
}

/// Where the rest of a task is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TaskLinks {
    #[serde(rename = "self")]
    this: String,
    execute: String,
    executions: String,
}

/// A task whose secret may just have been made.
#[derive(Serialize, JsonSchema)]
pub struct NewTaskResponse {
    #[serde(flatten)]
    pub about: TaskResponse,
    /// What messages to `notification_webhook` are signed with, as Standard Webhooks has it, shown this once; null if
    /// none was made by this request.
    pub webhook_secret: Option<String>,
}

impl TaskResponse {
    /// The task, and when it runs.
    pub fn of(tasks: &TaskManager, task: Task) -> Self {
        let upcoming_runs = tasks.upcoming(&task);
        let this = format!("/api/v1/tasks/{}", task.id);
        let spec = task.spec;
        Self {
            id: task.id.0,
            user_id: task.user_id.0,
            name: task.name,
            description: task.description,
            prompt_template: spec.prompt_template,
            default_variables: spec.default_variables,
            allowed_tools: spec.allowed_tools,
            disallowed_tools: spec.disallowed_tools,
            sdk_options: spec.sdk_options.into(),
            system_prompt: spec.system_prompt,
            working_directory: spec.working_directory,
            permission_mode: spec.permission_mode,
            hooks_enabled: spec.hooks_enabled,
            custom_policies: spec.custom_policies,
            timeout_seconds: spec.timeout_seconds,
            is_scheduled: task.is_scheduled,
            schedule_cron: task.schedule_cron,
            timezone: task.timezone,
            schedule_enabled: task.schedule_enabled,
            next_run_at: task.next_run_at,
            upcoming_runs,
            generate_report: spec.generate_report,
            report_format: spec.report_format.as_deref().and_then(ReportFormat::parse).map(Word),
            notification_webhook: spec.notification_webhook,
            auto_archive: spec.auto_archive,
            tags: task.tags,
            priority: task.priority,
            max_retries: task.max_retries,
            retry_delay: to_seconds(task.retry_delay_ms),
            created_at: task.created_at,
            updated_at: task.updated_at,
            links: TaskLinks {
                execute: format!("{this}/execute"),
                executions: format!("{this}/executions"),
                this,
            },
        }
    }
}
