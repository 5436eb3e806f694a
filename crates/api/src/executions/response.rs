//! An execution as clients see it.

use crate::word::Word;
use domain::{Execution, ExecutionStatus, ExecutionTrigger};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// One time that a task was done, or is to be done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExecutionResponse {
    id: Uuid,
    task_id: Uuid,
    user_id: Uuid,
    status: Word<ExecutionStatus>,
    trigger: Word<ExecutionTrigger>,
    /// The execution that this does again.
    retry_of: Option<Uuid>,
    /// The time of the schedule that this is for.
    scheduled_for: Option<Timestamp>,
    variables: Map<String, Value>,
    /// The template with its variables filled in.
    prompt: String,
    priority: i32,
    /// The session of the present attempt; it is there once `session_created` is true.
    session_id: Uuid,
    session_created: bool,
    turn_id: Option<Uuid>,
    /// Attempts begun.
    attempt: u32,
    max_attempts: u32,
    /// It does not begin before this.
    due_at: Timestamp,
    cancel_requested: bool,
    /// The agent's answer.
    result: Option<String>,
    /// Why it, or its last attempt, did not end well.
    error: Option<ExecutionFailure>,
    /// Tool calls of the last attempt that are on record: with `outcome_unknown`, what is known to have been begun.
    tool_call_count: u64,
    /// Of all attempts.
    total_cost_usd: f64,
    /// What followed the end.
    after: AfterEnd,
    created_at: Timestamp,
    /// When the last attempt began.
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    #[serde(rename = "_links")]
    links: ExecutionLinks,
}

/// Why an attempt did not end well.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExecutionFailure {
    /// A turn's failure, or `WORKER_LOST`, `SESSION_REFUSED`, `TEMPLATE_FAILED`, `CANCELLED`.
    code: String,
    message: String,
}

/// What followed the end of an execution, as its task says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AfterEnd {
    /// Null: there is none (yet).
    report_id: Option<Uuid>,
    /// The archive that was asked for; the session says what became of it.
    archive_id: Option<Uuid>,
    /// When the webhook took the message.
    notified_at: Option<Timestamp>,
    /// What was left out because it can never succeed.
    errors: Vec<String>,
    /// Failed attempts at what is left to do.
    attempts: u32,
    /// When the rest is tried next; null: nothing is left to do.
    next_attempt_at: Option<Timestamp>,
    /// Why the last attempt failed.
    last_error: Option<String>,
}

/// Where the rest of an execution is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExecutionLinks {
    #[serde(rename = "self")]
    this: String,
    task: String,
    session: String,
    tool_calls: String,
    files: String,
    archive: String,
    report: Option<String>,
}

impl From<Execution> for ExecutionResponse {
    fn from(execution: Execution) -> Self {
        let this = format!("/api/v1/tasks/executions/{}", execution.id);
        let after = AfterEnd::of(&execution);
        let links = ExecutionLinks {
            task: format!("/api/v1/tasks/{}", execution.task_id),
            session: format!("/api/v1/sessions/{}", execution.session_id),
            tool_calls: format!("{this}/tool-calls"),
            files: format!("{this}/files"),
            archive: format!("{this}/archive"),
            report: after.report_id.map(|id| format!("/api/v1/reports/{id}")),
            this,
        };
        Self {
            id: execution.id.0,
            task_id: execution.task_id.0,
            user_id: execution.user_id.0,
            status: Word(execution.status),
            trigger: Word(execution.trigger),
            retry_of: execution.retry_of.map(|id| id.0),
            scheduled_for: execution.scheduled_for,
            variables: execution.variables,
            prompt: execution.prompt,
            priority: execution.priority,
            session_id: execution.session_id.0,
            session_created: execution.session_created,
            turn_id: execution.turn_id.map(|id| id.0),
            attempt: execution.attempt,
            max_attempts: execution.attempts_max,
            due_at: execution.due_at,
            cancel_requested: execution.cancel_requested,
            result: execution.result,
            error: execution.error.map(|error| ExecutionFailure { code: error.code, message: error.message }),
            tool_call_count: execution.tool_calls,
            total_cost_usd: execution.cost.as_usd(),
            after,
            created_at: execution.created_at,
            started_at: execution.started_at,
            completed_at: execution.completed_at,
            links,
        }
    }
}

impl AfterEnd {
    fn of(execution: &Execution) -> Self {
        let settlement = &execution.settlement;
        let noted = |step: &str, field: &str| settlement.steps.get(step)?.get(field)?.as_str();
        let errors = settlement.steps.iter().filter_map(|(step, noted)| {
            let why = noted.get("error")?.as_str()?;
            Some(format!("{step}: {why}"))
        });
        Self {
            report_id: noted("report", "id").and_then(|id| id.parse().ok()),
            archive_id: noted("archive", "id").and_then(|id| id.parse().ok()),
            notified_at: noted("webhook", "delivered_at").and_then(|at| at.parse().ok()),
            errors: errors.collect(),
            attempts: settlement.attempts,
            next_attempt_at: settlement.due_at,
            last_error: settlement.error.clone(),
        }
    }
}
