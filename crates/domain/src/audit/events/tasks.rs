//! What the audit log says about tasks and executions. What an agent is asked stands here nowhere.

use crate::{
    Execution, ExecutionStatus, Task,
    audit::{AuditEvent, Fact, Origin},
    task::TaskPatch,
};
use jiff::Timestamp;

/// A task was made.
#[must_use]
pub fn task_created(task: &Task, origin: &Origin) -> AuditEvent {
    about_task("task.created", task, origin, task.created_at)
}

/// A task was changed to this.
#[must_use]
pub fn task_changed(task: &Task, patch: &TaskPatch, origin: &Origin, at: Timestamp) -> AuditEvent {
    let fields = [
        ("name", patch.name.is_some()),
        ("description", patch.description.is_some()),
        ("spec", patch.spec.is_some()),
        ("webhook_secret", patch.webhook_secret.is_some()),
        ("tags", patch.tags.is_some()),
        ("is_scheduled", patch.is_scheduled.is_some()),
        ("schedule_cron", patch.schedule_cron.is_some()),
        ("timezone", patch.timezone.is_some()),
        ("schedule_enabled", patch.schedule_enabled.is_some()),
        ("priority", patch.priority.is_some()),
        ("max_retries", patch.max_retries.is_some()),
        ("retry_delay_ms", patch.retry_delay_ms.is_some()),
    ];
    let changed = fields.into_iter().filter(|(_, is_changed)| *is_changed);
    let changed = changed.map(|(name, _)| name.to_owned()).collect();
    about_task("task.changed", task, origin, at).with("fields", Fact::List(changed))
}

/// A task was deleted.
#[must_use]
pub fn task_deleted(task: &Task, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_task("task.deleted", task, origin, at)
}

/// A task was asked to run.
#[must_use]
pub fn execution_created(execution: &Execution, origin: &Origin) -> AuditEvent {
    about_execution("execution.created", execution, origin, execution.created_at)
        .with("trigger", execution.trigger.as_str())
}

/// An execution moved on because of somebody, or ended.
#[must_use]
pub fn execution_advanced(execution: &Execution, origin: &Origin, at: Timestamp) -> AuditEvent {
    let action = match execution.status {
        ExecutionStatus::Pending | ExecutionStatus::Queued => "execution.requeued",
        ExecutionStatus::Running if execution.cancel_requested => "execution.cancel_requested",
        ExecutionStatus::Running => "execution.taken_over",
        ExecutionStatus::Completed => "execution.completed",
        ExecutionStatus::Failed => "execution.failed",
        ExecutionStatus::Cancelled => "execution.cancelled",
        ExecutionStatus::OutcomeUnknown => "execution.outcome_unknown",
    };
    let event =
        about_execution(action, execution, origin, at).with("attempt", Fact::Number(execution.attempt));
    let event = match &execution.error {
        Some(error) => event.with("error_code", error.code.as_str()),
        None => event,
    };
    if execution.session_created { event.in_session(execution.session_id) } else { event }
}

fn about_task(action: &'static str, task: &Task, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new(action, origin, at).about("task", task.id).with("name", task.name.as_str())
}

fn about_execution(
    action: &'static str,
    execution: &Execution,
    origin: &Origin,
    at: Timestamp,
) -> AuditEvent {
    AuditEvent::new(action, origin, at)
        .about("execution", execution.id)
        .with("task_id", Fact::Text(execution.task_id.to_string()))
}
