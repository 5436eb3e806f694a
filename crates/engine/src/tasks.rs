//! Tasks: work that is asked for once, or comes by a schedule, and is seen through whatever becomes of the servers.
//!
//! The rows of executions are the queue and the truth. Each attempt is a background session of its own.

mod after;
mod aftercare;
mod at_work;
mod attempt;
mod backend;
mod definitions;
mod lost;
mod outcome;
mod scheduler;
mod session;
mod template;
mod worker;

pub use after::AfterExecution;
pub use aftercare::Aftercare;
pub use definitions::{TaskChanges, TaskDraft};

use crate::{Error, Result, SessionManager};
use at_work::AtWork;
use domain::{
    Caller, Execution, ExecutionId, ExecutionStatus, MissedRuns, Origin, Page, PageRequest, Scope, Task,
    TaskId,
    ports::{ExecutionLevels, TaskStore},
};
use serde_json::{Map, Value};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How often a change is tried again that somebody else was faster with.
const RACES_MAX: u32 = 16;

/// How tasks are run; already checked.
#[derive(Debug, Clone, Copy)]
pub struct TaskSettings {
    /// Executions that run at a time, at all workers together; `None` is as many as all have slots for.
    pub running_max: Option<u32>,
    pub missed_runs: MissedRuns,
    /// How often a worker looks whether there is something to do. What is asked for by way of itself it sees at once.
    pub look_interval: Duration,
}

impl Default for TaskSettings {
    fn default() -> Self {
        Self { running_max: None, missed_runs: MissedRuns::default(), look_interval: Duration::from_secs(1) }
    }
}

/// Queues executions, and works on them where it is asked to; cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskManager {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub sessions: SessionManager,
    pub store: Arc<dyn TaskStore>,
    pub settings: TaskSettings,
    after: Arc<dyn AfterExecution>,
    /// Wakes the worker: something was queued, or a slot is free.
    more: Notify,
    /// Wakes whoever does what follows an end.
    ended: Notify,
    /// What this process works on, from before it is claimed until after its end is stored.
    mine: AtWork,
    /// What is being settled here.
    settling: AtWork,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskManager").field("mine", &self.mine.count()).finish_non_exhaustive()
    }
}

impl TaskManager {
    /// Wires the manager up; nothing is worked on before [`TaskManager::work`].
    #[must_use]
    pub fn new(
        sessions: SessionManager,
        store: Arc<dyn TaskStore>,
        settings: TaskSettings,
        after: Arc<dyn AfterExecution>,
    ) -> Self {
        let inner = Inner {
            sessions,
            store,
            settings,
            after,
            more: Notify::new(),
            ended: Notify::new(),
            mine: AtWork::default(),
            settling: AtWork::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The sessions that executions work in.
    #[must_use]
    pub fn sessions(&self) -> &SessionManager {
        &self.inner.sessions
    }

    pub(crate) fn store(&self) -> &dyn TaskStore {
        self.inner.store.as_ref()
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.inner.sessions.inner.clock.now()
    }

    /// One of the caller's tasks.
    pub async fn task(&self, caller: &Caller, id: TaskId) -> Result<Task> {
        self.store().task(caller.scope(), id).await?.ok_or(Error::NotFound("task"))
    }

    /// Queues a run of the task, if its owner has money for one. Some worker begins it as soon as it can.
    pub async fn enqueue(
        &self,
        task: &Task,
        prompt: String,
        variables: Map<String, Value>,
        origin: &Origin,
    ) -> Result<Execution> {
        let execution = Execution::new(task, prompt, variables, self.now());
        self.queue(execution, origin).await
    }

    async fn queue(&self, execution: Execution, origin: &Origin) -> Result<Execution> {
        if self.inner.sessions.is_draining() {
            return Err(Error::ShuttingDown);
        }
        self.inner.sessions.afford(execution.user_id, None).await?;
        self.store().create_execution(&execution, origin).await?;
        self.inner.more.notify_one();
        Ok(execution)
    }

    /// One of the caller's executions.
    pub async fn execution(&self, caller: &Caller, id: ExecutionId) -> Result<Execution> {
        self.load(caller.scope(), id).await
    }

    async fn load(&self, scope: Scope, id: ExecutionId) -> Result<Execution> {
        self.store().execution(scope, id).await?.ok_or(Error::NotFound("execution"))
    }

    /// The executions of one of the caller's tasks, newest first.
    pub async fn executions(
        &self,
        caller: &Caller,
        task: TaskId,
        status: Option<ExecutionStatus>,
        page: &PageRequest,
    ) -> Result<Page<Execution>> {
        self.task(caller, task).await?;
        Ok(self.store().executions(caller.scope(), task, status, page).await?)
    }

    /// Stops an execution: at once if it waits; one that runs is over soon after.
    pub async fn cancel(&self, caller: &Caller, id: ExecutionId) -> Result<Execution> {
        for _ in 0..RACES_MAX {
            let execution = self.load(caller.scope(), id).await?;
            let now = self.now();
            let cancelled = execution.cancelled(now).ok_or(Error::ExecutionOver(execution.status))?;
            if !self.store().advance_execution(&cancelled, now, Some(&caller.origin())).await? {
                continue;
            }
            if cancelled.status.is_over() {
                self.inner.ended.notify_one();
            } else {
                // What has not begun yet looks whether it is still wanted once it has.
                self.inner.sessions.stop_task_turn(&cancelled).await?;
            }
            return Ok(cancelled);
        }
        Err(Error::Internal("cancel an execution that changes all the time"))
    }

    /// Queues the same once more: what failed, was cancelled, or ended nobody knows how.
    pub async fn retry(&self, caller: &Caller, id: ExecutionId) -> Result<Execution> {
        let execution = self.load(caller.scope(), id).await?;
        if !execution.status.may_be_retried() {
            return Err(Error::ExecutionNotRetryable(execution.status));
        }
        let task = self.store().task(caller.scope(), execution.task_id).await?;
        let task = task.ok_or(Error::NotFound("task"))?;
        self.queue(execution.once_more(&task, self.now()), &caller.origin()).await
    }

    /// Leaves to those that work what this server had as a worker in an earlier life: no other takes it from a server that
    /// lives. Answers with how many executions that were.
    pub async fn leave_to_others(&self) -> Result<u64> {
        Ok(self.store().give_up_executions(self.inner.sessions.server()).await?)
    }

    /// How much there is in the queue, of all users.
    pub async fn levels(&self) -> Result<ExecutionLevels> {
        Ok(self.store().execution_levels(self.now()).await?)
    }
}
