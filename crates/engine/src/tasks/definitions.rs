//! Tasks as people define them, and asking for one to be done.

use super::{TaskManager, template};
use crate::{
    Error, FieldError, Result, SessionManager,
    draft::{SessionDraft, start},
    owned::{TASKS_MAX, unless_full},
    workdir,
};
use domain::{
    Caller, Execution, Page, PageRequest, ReportFormat, Schedule, ScheduleError, SdkOptions, SessionMode,
    Task, TaskId, TaskPatch, TaskSpec, hook::SealedSecret, task::TaskFilter,
};
use hooks::webhook::fresh_secret;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value};

/// How many of a schedule's next times are told.
const UPCOMING: usize = 5;

/// A task as its owner wants it.
#[derive(Debug, Clone)]
pub struct TaskDraft {
    pub name: String,
    pub description: Option<String>,
    pub spec: TaskSpec,
    pub tags: Vec<String>,
    pub is_scheduled: bool,
    pub schedule_cron: Option<String>,
    /// IANA name.
    pub timezone: String,
    pub schedule_enabled: bool,
    pub priority: i32,
    pub max_retries: u32,
    pub retry_delay_ms: u64,
}

/// What to change of a task; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct TaskChanges {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub prompt_template: Option<String>,
    pub default_variables: Option<Map<String, Value>>,
    pub allowed_tools: Option<Option<Vec<String>>>,
    pub disallowed_tools: Option<Vec<String>>,
    pub sdk_options: Option<SdkOptions>,
    pub system_prompt: Option<Option<String>>,
    pub working_directory: Option<Option<String>>,
    pub permission_mode: Option<Option<String>>,
    pub hooks_enabled: Option<Option<Vec<String>>>,
    pub custom_policies: Option<Option<Vec<String>>>,
    pub timeout_seconds: Option<Option<u32>>,
    pub generate_report: Option<bool>,
    pub report_format: Option<Option<String>>,
    pub notification_webhook: Option<Option<String>>,
    pub auto_archive: Option<bool>,
    pub tags: Option<Vec<String>>,
    pub is_scheduled: Option<bool>,
    pub schedule_cron: Option<Option<String>>,
    pub timezone: Option<String>,
    pub schedule_enabled: Option<bool>,
    pub priority: Option<i32>,
    pub max_retries: Option<u32>,
    pub retry_delay_ms: Option<u64>,
}

impl TaskManager {
    /// Makes a task. One that has a webhook gets a secret that signs its messages, shown this once.
    pub async fn create_task(
        &self,
        caller: &Caller,
        draft: TaskDraft,
    ) -> Result<(Task, Option<SecretString>)> {
        let now = self.sessions().inner.clock.now();
        let task = Task {
            id: TaskId::new(),
            user_id: caller.user_id,
            name: draft.name,
            description: draft.description,
            spec: draft.spec,
            webhook_secret: None,
            tags: domain::template::normal_tags(draft.tags),
            is_scheduled: draft.is_scheduled,
            schedule_cron: draft.schedule_cron,
            timezone: draft.timezone,
            schedule_enabled: draft.schedule_enabled,
            next_run_at: None,
            priority: draft.priority,
            max_retries: draft.max_retries,
            retry_delay_ms: draft.retry_delay_ms,
            created_at: now,
            updated_at: now,
        };
        let task = self.checked(task, now).await?;
        let (secret, sealed) = match &task.spec.notification_webhook {
            Some(_) => self.new_secret(task.id).map(|(secret, sealed)| (Some(secret), Some(sealed)))?,
            None => (None, None),
        };
        let task = Task { webhook_secret: sealed, ..task };
        let task = task.rescheduled(now).map_err(|error| Error::Invalid(vec![schedule_fault(&error)]))?;
        let stored = self.store().create_task(&task, TASKS_MAX, &caller.origin()).await?;
        unless_full(stored, "tasks", TASKS_MAX)?;
        Ok((task, secret))
    }

    /// The caller's tasks, newest first.
    pub async fn tasks(&self, caller: &Caller, filter: TaskFilter, page: &PageRequest) -> Result<Page<Task>> {
        let filter = TaskFilter { tags: domain::template::normal_tags(filter.tags), ..filter };
        Ok(self.store().tasks(caller.scope(), &filter, page).await?)
    }

    /// Changes a task. Executions that wait or run go on as they were asked for. One that gets its first webhook by this
    /// gets a secret too, shown this once.
    pub async fn patch_task(
        &self,
        caller: &Caller,
        id: TaskId,
        changes: TaskChanges,
    ) -> Result<(Task, Option<SecretString>)> {
        let now = self.sessions().inner.clock.now();
        let before = self.task(caller, id).await?;
        let mut patch = changes.on(&before);
        // The schedule is looked at by `checked`, which says more about it.
        let unscheduled = TaskPatch { schedule_enabled: Some(false), ..patch.clone() };
        let after = unscheduled
            .apply(before.clone(), now)
            .map_err(|error| Error::Invalid(vec![schedule_fault(&error)]))?;
        let schedule_enabled = patch.schedule_enabled.unwrap_or(before.schedule_enabled);
        let checked = self.checked(Task { schedule_enabled, ..after }, now).await?;
        patch.spec = patch.spec.map(|_| checked.spec.clone());
        let mut shown = None;
        if checked.spec.notification_webhook.is_some() && before.webhook_secret.is_none() {
            let (secret, sealed) = self.new_secret(id)?;
            patch.webhook_secret = Some(Some(sealed));
            shown = Some(secret);
        }
        let patched = self.store().patch_task(caller.scope(), id, &patch, now, &caller.origin()).await?;
        Ok((patched.ok_or(Error::NotFound("task"))?, shown))
    }

    /// Gives a task another secret, which signs from now on and is shown this once.
    pub async fn rotate_task_secret(&self, caller: &Caller, id: TaskId) -> Result<(Task, SecretString)> {
        self.task(caller, id).await?;
        let (secret, sealed) = self.new_secret(id)?;
        let patch = TaskPatch { webhook_secret: Some(Some(sealed)), ..TaskPatch::default() };
        let now = self.sessions().inner.clock.now();
        let patched = self.store().patch_task(caller.scope(), id, &patch, now, &caller.origin()).await?;
        Ok((patched.ok_or(Error::NotFound("task"))?, secret))
    }

    /// Deletes a task: it runs no more, and what comes after the end of its executions is left out. Those that wait or
    /// run go on; all of them stay readable.
    pub async fn delete_task(&self, caller: &Caller, id: TaskId) -> Result<()> {
        let now = self.sessions().inner.clock.now();
        if self.store().delete_task(caller.scope(), id, now, &caller.origin()).await? {
            Ok(())
        } else {
            Err(Error::NotFound("task"))
        }
    }

    /// Asks for a task to be done, with these variables over its defaults. A worker begins as soon as it can.
    pub async fn execute(
        &self,
        caller: &Caller,
        id: TaskId,
        variables: &Map<String, Value>,
    ) -> Result<Execution> {
        let task = self.task(caller, id).await?;
        let rendered = template::render(&task, variables)?;
        self.enqueue(&task, rendered.prompt, rendered.variables, &caller.origin()).await
    }

    /// The next times at which the task runs by itself, as far as they are told.
    #[must_use]
    pub fn upcoming(&self, task: &Task) -> Vec<Timestamp> {
        let now = self.sessions().inner.clock.now();
        match task.schedule() {
            Ok(Some(schedule)) => schedule.upcoming(now, UPCOMING),
            // What cannot be read was refused when it was stored.
            Ok(None) | Err(_) => vec![],
        }
    }

    fn new_secret(&self, id: TaskId) -> Result<(SecretString, SealedSecret)> {
        let secret = fresh_secret();
        let sealed = self.sessions().inner.hooks.client().seal_for_task(id, &secret);
        Ok((secret, sealed.map_err(|_| Error::Internal("seal the secret of a task"))?))
    }

    /// The task, if its fields make sense by themselves and together; everything that does not is named at once.
    async fn checked(&self, task: Task, now: Timestamp) -> Result<Task> {
        let (spec, sessions) = (&task.spec, self.sessions());
        let runs_by_itself = task.is_scheduled && task.schedule_enabled;
        let mut faults = template::faults(&spec.prompt_template, &spec.default_variables, runs_by_itself);
        faults.extend(start::list("/disallowed_tools", &spec.disallowed_tools));
        if task.is_scheduled && task.schedule_cron.is_none() {
            let message = "is needed by a task that is scheduled";
            faults.push(FieldError::new("/schedule_cron", "required", message));
        }
        // A zone is checked also where there is no schedule yet.
        let cron = task.schedule_cron.as_deref().unwrap_or("* * * * *");
        if let Err(error) = Schedule::parse_coming(cron, &task.timezone, now) {
            faults.push(schedule_fault(&error));
        }
        if let Some(format) = &spec.report_format
            && ReportFormat::parse(format).is_none()
        {
            let words = ReportFormat::ALL.map(ReportFormat::as_str).join(", ");
            faults.push(FieldError::new("/report_format", "enum", format!("must be one of {words}")));
        }
        let mut url = None;
        if let Some(asked) = &spec.notification_webhook {
            match sessions.inner.hooks.client().check_url(asked) {
                Ok(checked) => url = Some(checked),
                Err(refused) => faults.push(FieldError::new("/notification_webhook", "url", refused.0)),
            }
        }
        self.session_faults(sessions, &task, &mut faults).await?;
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let spec = TaskSpec { notification_webhook: url, ..task.spec };
        Ok(Task { spec, ..task })
    }

    /// What is wrong with the sessions that it would have. They are its owner's, whoever changes it.
    async fn session_faults(
        &self,
        sessions: &SessionManager,
        task: &Task,
        faults: &mut Vec<FieldError>,
    ) -> Result<()> {
        let spec = &task.spec;
        let mut draft = SessionDraft {
            mode: Some(SessionMode::Background),
            allowed_tools: spec.allowed_tools.clone(),
            system_prompt: spec.system_prompt.clone(),
            sdk_options: Some(spec.sdk_options.clone()),
            permission_mode: spec.permission_mode.clone(),
            initial_message: Some(Value::from("-")),
            ..SessionDraft::default()
        };
        let policies = spec.custom_policies.as_deref().unwrap_or_default();
        let mut further = sessions.policy_faults(policies).await?;
        let hooks = spec.hooks_enabled.as_deref().unwrap_or_default();
        further.extend(sessions.hook_faults(task.user_id, hooks).await?);
        let settings = &sessions.inner.settings;
        if let Some(asked) = &spec.working_directory {
            // A draft looks at it only as it is made.
            let home = workdir::home(settings, task.user_id);
            match workdir::check(&settings.directories, &home, asked, "/working_directory") {
                Err(Error::Invalid(more)) => faults.extend(more),
                checked => drop(checked?),
            }
        }
        match draft.check(settings, task.user_id, further) {
            Ok(()) => Ok(()),
            Err(Error::Invalid(more)) => {
                faults.extend(more);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl TaskChanges {
    /// The same as the store takes it, which keeps what agents are started with as a whole.
    fn on(self, task: &Task) -> TaskPatch {
        let spec = task.spec.clone();
        let changed = TaskSpec {
            prompt_template: self.prompt_template.unwrap_or(spec.prompt_template),
            default_variables: self.default_variables.unwrap_or(spec.default_variables),
            allowed_tools: self.allowed_tools.unwrap_or(spec.allowed_tools),
            disallowed_tools: self.disallowed_tools.unwrap_or(spec.disallowed_tools),
            sdk_options: self.sdk_options.unwrap_or(spec.sdk_options),
            system_prompt: self.system_prompt.unwrap_or(spec.system_prompt),
            working_directory: self.working_directory.unwrap_or(spec.working_directory),
            permission_mode: self.permission_mode.unwrap_or(spec.permission_mode),
            hooks_enabled: self.hooks_enabled.unwrap_or(spec.hooks_enabled),
            custom_policies: self.custom_policies.unwrap_or(spec.custom_policies),
            timeout_seconds: self.timeout_seconds.unwrap_or(spec.timeout_seconds),
            generate_report: self.generate_report.unwrap_or(spec.generate_report),
            report_format: self.report_format.unwrap_or(spec.report_format),
            notification_webhook: self.notification_webhook.unwrap_or(spec.notification_webhook),
            auto_archive: self.auto_archive.unwrap_or(spec.auto_archive),
        };
        TaskPatch {
            name: self.name,
            description: self.description,
            spec: (changed != task.spec).then_some(changed),
            webhook_secret: None,
            tags: self.tags.map(domain::template::normal_tags),
            is_scheduled: self.is_scheduled,
            schedule_cron: self.schedule_cron,
            timezone: self.timezone,
            schedule_enabled: self.schedule_enabled,
            priority: self.priority,
            max_retries: self.max_retries,
            retry_delay_ms: self.retry_delay_ms,
        }
    }
}

fn schedule_fault(error: &ScheduleError) -> FieldError {
    let (pointer, code) = match error {
        ScheduleError::Cron(_) => ("/schedule_cron", "cron"),
        ScheduleError::Never => ("/schedule_cron", "never"),
        ScheduleError::TimeZone(_) => ("/timezone", "time_zone"),
    };
    FieldError::new(pointer, code, format!("could not {error}"))
}
