//! Tasks: what is to be done, by hand or when a schedule says so. Each time is an execution.

use crate::{ExecutionId, Schedule, ScheduleError, SdkOptions, TaskId, UserId, hook::SealedSecret};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A definition of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub id: TaskId,
    pub user_id: UserId,
    pub name: String,
    pub description: Option<String>,
    pub spec: TaskSpec,
    /// Signs what `spec.notification_webhook` is told.
    pub webhook_secret: Option<SealedSecret>,
    /// Without a newline in any of them.
    pub tags: Vec<String>,
    pub is_scheduled: bool,
    /// Five fields, as cron has them.
    pub schedule_cron: Option<String>,
    /// IANA name of the zone in which `schedule_cron` is meant.
    pub timezone: String,
    pub schedule_enabled: bool,
    /// The next instant at which it is to run by itself; `None` if it is not.
    pub next_run_at: Option<Timestamp>,
    /// Executions of higher ones begin first.
    pub priority: i32,
    /// How often an execution is begun anew after an attempt that failed before it had effects.
    pub max_retries: u32,
    /// Before the first retry, in milliseconds; it doubles with each.
    pub retry_delay_ms: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What the sessions of a task are made from, and what follows their end. Stored as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskSpec {
    /// With `{{variable}}` where a variable goes.
    pub prompt_template: String,
    pub default_variables: Map<String, Value>,
    pub allowed_tools: Option<Vec<String>>,
    pub disallowed_tools: Vec<String>,
    pub sdk_options: SdkOptions,
    pub system_prompt: Option<String>,
    pub working_directory: Option<String>,
    pub permission_mode: Option<String>,
    pub hooks_enabled: Option<Vec<String>>,
    pub custom_policies: Option<Vec<String>>,
    /// How long an attempt may take; `None` is the server's default.
    pub timeout_seconds: Option<u32>,
    pub generate_report: bool,
    pub report_format: Option<String>,
    pub notification_webhook: Option<String>,
    pub auto_archive: bool,
}

/// What a person may change of a task; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskPatch {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub spec: Option<TaskSpec>,
    pub webhook_secret: Option<Option<SealedSecret>>,
    pub tags: Option<Vec<String>>,
    pub is_scheduled: Option<bool>,
    pub schedule_cron: Option<Option<String>>,
    pub timezone: Option<String>,
    pub schedule_enabled: Option<bool>,
    pub priority: Option<i32>,
    pub max_retries: Option<u32>,
    pub retry_delay_ms: Option<u64>,
}

/// Which tasks a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    pub is_scheduled: Option<bool>,
    /// Those that have every one of these tags.
    pub tags: Vec<String>,
    /// Case-insensitive part of the name or description.
    pub q: Option<String>,
}

/// The runs of a schedule that are due: what they are, and when the next one is.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    pub task: TaskId,
    /// The task's `next_run_at` as it was read; whoever comes second finds another one and adds nothing.
    pub seen: Timestamp,
    pub executions: Vec<crate::Execution>,
    pub next_run_at: Option<Timestamp>,
}

impl Task {
    /// Its schedule, if it has one that is switched on.
    pub fn schedule(&self) -> Result<Option<Schedule>, ScheduleError> {
        let cron = self.schedule_cron.as_deref().filter(|_| self.is_scheduled && self.schedule_enabled);
        cron.map(|cron| Schedule::parse(cron, &self.timezone)).transpose()
    }

    /// The same with `next_run_at` as its schedule says after `now`.
    pub fn rescheduled(mut self, now: Timestamp) -> Result<Self, ScheduleError> {
        self.next_run_at = self.schedule()?.and_then(|schedule| schedule.next_after(now));
        Ok(self)
    }

    /// How often an execution is attempted at most.
    #[must_use]
    pub fn attempts_max(&self) -> u32 {
        self.max_retries.saturating_add(1)
    }
}

impl TaskPatch {
    /// Whether the schedule may be another one after it.
    #[must_use]
    pub fn concerns_schedule(&self) -> bool {
        self.is_scheduled.is_some()
            || self.schedule_cron.is_some()
            || self.timezone.is_some()
            || self.schedule_enabled.is_some()
    }

    /// The task as it is after this change. A schedule that changes runs next when it says so after `at`.
    pub fn apply(&self, mut task: Task, at: Timestamp) -> Result<Task, ScheduleError> {
        let concerns_schedule = self.concerns_schedule();
        let Self {
            name,
            description,
            spec,
            webhook_secret,
            tags,
            is_scheduled,
            schedule_cron,
            timezone,
            schedule_enabled,
            priority,
            max_retries,
            retry_delay_ms,
        } = self.clone();
        task.name = name.unwrap_or(task.name);
        task.description = description.unwrap_or(task.description);
        task.spec = spec.unwrap_or(task.spec);
        task.webhook_secret = webhook_secret.unwrap_or(task.webhook_secret);
        task.tags = tags.unwrap_or(task.tags);
        task.is_scheduled = is_scheduled.unwrap_or(task.is_scheduled);
        task.schedule_cron = schedule_cron.unwrap_or(task.schedule_cron);
        task.timezone = timezone.unwrap_or(task.timezone);
        task.schedule_enabled = schedule_enabled.unwrap_or(task.schedule_enabled);
        task.priority = priority.unwrap_or(task.priority);
        task.max_retries = max_retries.unwrap_or(task.max_retries);
        task.retry_delay_ms = retry_delay_ms.unwrap_or(task.retry_delay_ms);
        task.updated_at = at;
        if concerns_schedule { task.rescheduled(at) } else { Ok(task) }
    }
}

impl TaskFilter {
    /// Whether this task is shown.
    #[must_use]
    pub fn passes(&self, task: &Task) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        self.is_scheduled.is_none_or(|is_scheduled| task.is_scheduled == is_scheduled)
            && self.tags.iter().all(|tag| task.tags.contains(tag))
            && self.q.as_deref().is_none_or(|part| {
                has(&task.name, part) || task.description.as_deref().is_some_and(|text| has(text, part))
            })
    }
}

impl Firing {
    /// The ids of what is to be added.
    pub fn ids(&self) -> impl Iterator<Item = ExecutionId> {
        self.executions.iter().map(|execution| execution.id)
    }
}
