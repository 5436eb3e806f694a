//! What follows the end of an execution, as its task says: a report, an archive, a message to its webhook.
//!
//! Each step is noted once it is done, so that it is not done twice; one that a crash fell into is done again, and comes to
//! the same. What can never succeed is noted as that; whatever else went wrong is tried again later.

use super::after::AfterExecution;
use crate::{ArchiveRequest, Error, ReportManager, Result, SessionManager};
use async_trait::async_trait;
use domain::{
    Execution, NewReport, Origin, ReportFormat, ReportId, Scope, Task,
    ports::{StoreError, TaskStore},
    report::ReportParts,
};
use hooks::webhook::{CallFailed, message};
use serde_json::{Map, Value, json};
use std::{fmt, sync::Arc};

/// The steps, in their order, by the names under which they are noted.
pub(crate) const REPORT: &str = "report";
pub(crate) const ARCHIVE: &str = "archive";
pub(crate) const WEBHOOK: &str = "webhook";
/// Attempts for which a step that fails holds up what comes after it: about three quarters of an hour. Whoever waits for
/// the message is told then, and the step is tried on.
const PATIENCE: u32 = 10;
/// HTTP status of an endpoint that wants nothing any more.
const GONE: u16 = 410;
/// Longest result that a message carries, in characters; the whole is with the execution.
const RESULT_CHARS_MAX: usize = 20_000;

/// Does what a task wants done after the end of its executions.
pub struct Aftercare {
    tasks: Arc<dyn TaskStore>,
    reports: ReportManager,
}

impl Aftercare {
    /// With the store that has the tasks, and what makes reports.
    #[must_use]
    pub fn new(tasks: Arc<dyn TaskStore>, reports: ReportManager) -> Self {
        Self { tasks, reports }
    }
}

impl fmt::Debug for Aftercare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aftercare")
    }
}

#[async_trait]
impl AfterExecution for Aftercare {
    async fn after_end(
        &self,
        sessions: &SessionManager,
        execution: &Execution,
        steps: &mut Map<String, Value>,
    ) -> Result<()> {
        // Whoever deletes a task wants nothing more of it.
        let Some(task) = self.tasks.task(Scope::All, execution.task_id).await? else { return Ok(()) };
        let wanted = [(REPORT, task.spec.generate_report), (ARCHIVE, task.spec.auto_archive)];
        let mut late = Ok(());
        for (step, is_wanted) in wanted {
            if !is_wanted || !execution.session_created || steps.contains_key(step) {
                continue;
            }
            let done = match step {
                REPORT => self.report(&task, execution).await,
                _ => archive(sessions, execution).await,
            };
            match noted(step, done) {
                Ok(noted) => drop(steps.insert(step.to_owned(), noted)),
                Err(error) if execution.settlement.attempts < PATIENCE => return Err(error),
                Err(error) => late = Err(error),
            }
        }
        if !steps.contains_key(WEBHOOK) {
            tell(sessions, &task, execution, steps).await?;
        }
        late
    }
}

impl Aftercare {
    /// The report has the id of its execution, so that there is one however often it is made.
    async fn report(&self, task: &Task, execution: &Execution) -> Result<Value> {
        let format = task.spec.report_format.as_deref().and_then(ReportFormat::parse);
        let format = format.unwrap_or(ReportFormat::Json);
        let new = NewReport { session_id: execution.session_id, format, parts: ReportParts::ALL };
        let (scope, id) = (Scope::Owner(execution.user_id), ReportId(execution.id.0));
        let report = self.reports.ensure(scope, id, new, &Origin::system()).await?;
        Ok(json!({ "id": report.id, "format": format.as_str() }))
    }
}

/// Has the session archived, without waiting for the end of it: the archive is durable work of its own. Asked again, it
/// is the same archive.
async fn archive(sessions: &SessionManager, execution: &Execution) -> Result<Value> {
    let asked = ArchiveRequest { compression: None, to_s3: true, waits: false };
    let scope = Scope::Owner(execution.user_id);
    let archive = sessions.archive_within(scope, execution.session_id, asked, &Origin::system()).await?;
    Ok(json!({ "id": archive.id }))
}

async fn tell(
    sessions: &SessionManager,
    task: &Task,
    execution: &Execution,
    steps: &mut Map<String, Value>,
) -> Result<()> {
    let (Some(url), Some(secret)) = (&task.spec.notification_webhook, &task.webhook_secret) else {
        return Ok(());
    };
    let at = execution.completed_at.unwrap_or(execution.created_at);
    let event = format!("execution.{}", execution.status.as_str());
    let payload = message(&event, at, &told(task, execution, steps));
    // The same at every attempt, so that receivers can tell repetitions.
    let (id, now) = (execution.id.to_string(), sessions.inner.clock.now());
    let client = sessions.inner.hooks.client();
    match client.tell_of_task(task.id, secret, url, &id, now, &payload).await {
        Ok(answer) => {
            steps
                .insert(WEBHOOK.to_owned(), json!({ "response_status": answer.status, "delivered_at": now }));
            Ok(())
        }
        Err(error @ (CallFailed::Status(GONE) | CallFailed::SecretLost | CallFailed::AddressRefused)) => {
            steps.insert(WEBHOOK.to_owned(), json!({ "error": format!("the endpoint {error}") }));
            Ok(())
        }
        Err(error) => Err(Error::NotTold(format!("the endpoint {error}"))),
    }
}

/// What the endpoint learns.
fn told(task: &Task, execution: &Execution, steps: &Map<String, Value>) -> Value {
    let id_of = |step: &str| steps.get(step).and_then(|noted| noted.get("id")).cloned();
    let result = execution.result.as_deref();
    let is_cut = result.is_some_and(|text| text.chars().nth(RESULT_CHARS_MAX).is_some());
    let result = result.map(|text| text.chars().take(RESULT_CHARS_MAX).collect::<String>());
    let session = execution.session_created.then_some(execution.session_id);
    json!({
        "execution_id": execution.id,
        "task_id": task.id,
        "task_name": task.name,
        "session_id": session,
        "status": execution.status.as_str(),
        "trigger": execution.trigger.as_str(),
        "scheduled_for": execution.scheduled_for,
        "attempt": execution.attempt,
        "result": result,
        "result_is_truncated": is_cut,
        "error": execution.error.as_ref().map(|error| json!({ "code": error.code, "message": error.message })),
        "tool_calls": execution.tool_calls,
        "cost_usd": execution.cost.as_usd(),
        "report_id": id_of(REPORT),
        "archive_id": id_of(ARCHIVE),
        "started_at": execution.started_at,
        "completed_at": execution.completed_at,
    })
}

/// What is noted of a step that was done, or that never can be; what may succeed later is an error.
fn noted(step: &str, done: Result<Value>) -> Result<Value> {
    done.or_else(|error| {
        if !is_final(&error) {
            return Err(error);
        }
        tracing::warn!(
            step,
            error = &error as &dyn std::error::Error,
            "a step after an execution is left out"
        );
        Ok(json!({ "error": format!("could not {error}") }))
    })
}

/// Whether it can never succeed. What is not known for that may pass, and trying it again is bounded.
fn is_final(error: &Error) -> bool {
    matches!(error, Error::NotFound(_) | Error::Store(StoreError::Inconsistent { .. }))
}
