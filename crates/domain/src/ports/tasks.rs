//! Tasks and their executions, which are the queue that workers take from.

use super::StoreResult;
use crate::{
    Execution, ExecutionId, ExecutionStatus, Origin, Page, PageRequest, Scope, ServerId, Task, TaskId,
    task::{Firing, TaskFilter, TaskPatch},
};
use async_trait::async_trait;
use jiff::Timestamp;

/// Definitions of work, and their schedules. What changes one leaves its entry in the audit log, in the same unit of
/// work. A task that was deleted is not there any more, and its executions are.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Stores a new task; false if its owner has `owned_max` already, however many are stored at once.
    async fn create_task(&self, task: &Task, owned_max: u32, origin: &Origin) -> StoreResult<bool>;

    /// The task, if it is there and inside the scope.
    async fn task(&self, scope: Scope, id: TaskId) -> StoreResult<Option<Task>>;

    /// Tasks inside the scope that pass the filter, newest first.
    async fn tasks(&self, scope: Scope, filter: &TaskFilter, page: &PageRequest) -> StoreResult<Page<Task>>;

    /// Changes what a person may change; `None` if there is no such task inside the scope. A schedule that the patch
    /// makes unreadable is [`super::StoreError::Inconsistent`]: whoever asks has checked it.
    async fn patch_task(
        &self,
        scope: Scope,
        id: TaskId,
        patch: &TaskPatch,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<Task>>;

    /// Deletes the task, so that it runs no more; false if there is none inside the scope.
    async fn delete_task(
        &self,
        scope: Scope,
        id: TaskId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool>;

    /// Tasks of active users whose `next_run_at` has come, the longest due first, at most `limit`.
    async fn due_tasks(&self, at: Timestamp, limit: u32) -> StoreResult<Vec<Task>>;

    /// Adds the executions of a schedule and moves it on; false, and nothing is added, if somebody else did or the task
    /// is not what it was. A due time that has its execution gets no other one, whoever asks.
    async fn fire(&self, firing: &Firing) -> StoreResult<bool>;
}

/// The queue, and what came of everything in it.
#[async_trait]
pub trait Executions: Send + Sync {
    /// Stores a new execution, and that it was asked for.
    async fn create_execution(&self, execution: &Execution, origin: &Origin) -> StoreResult<()>;

    /// The execution, if it is there and inside the scope.
    async fn execution(&self, scope: Scope, id: ExecutionId) -> StoreResult<Option<Execution>>;

    /// A task's executions inside the scope, newest first.
    async fn executions(
        &self,
        scope: Scope,
        task: TaskId,
        status: Option<ExecutionStatus>,
        page: &PageRequest,
    ) -> StoreResult<Page<Execution>>;

    /// Those of active users that wait and whose time has come: the highest priority first, then the longest due, at
    /// most `limit`.
    async fn due_executions(&self, at: Timestamp, limit: u32) -> StoreResult<Vec<Execution>>;

    /// Stores what [`Execution::claimed`] made, if fewer than `running_max` run in all and nobody was faster.
    async fn claim_execution(&self, claimed: &Execution, running_max: Option<u32>) -> StoreResult<bool>;

    /// Stores the execution as its successor, whose version is one more than that of the one that was read; false if
    /// that is not the version any more. `by` says on whose behalf, where that concerns the audit log.
    async fn advance_execution(
        &self,
        successor: &Execution,
        at: Timestamp,
        by: Option<&Origin>,
    ) -> StoreResult<bool>;

    /// Those that run at workers whose leases are over, or at this one, apart from those that it knows of; at most
    /// `limit`, oldest first.
    async fn lost_executions(
        &self,
        worker: ServerId,
        except: &[ExecutionId],
        limit: u32,
    ) -> StoreResult<Vec<Execution>>;

    /// Those that are over and have something left to do at `at`: what this worker had, and what workers had that are
    /// gone; at most `limit`, the longest due first.
    async fn unsettled_executions(
        &self,
        worker: ServerId,
        at: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Execution>>;

    /// Makes nobody's what this server has as a worker, so that those that work find it: what runs, and what is over and
    /// has something left to do. Answers with how many there were.
    async fn give_up_executions(&self, worker: ServerId) -> StoreResult<u64>;

    /// How much there is in the queue at `at`.
    async fn execution_levels(&self, at: Timestamp) -> StoreResult<ExecutionLevels>;
}

/// How much there is in the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExecutionLevels {
    /// Wait, and their time has come.
    pub due: u64,
    /// Wait for their time.
    pub waiting: u64,
    pub running: u64,
    /// Since when the one that waits longest could have begun.
    pub oldest_due_at: Option<Timestamp>,
}

/// Both in one.
pub trait TaskStore: Tasks + Executions {}

impl<S: Tasks + Executions> TaskStore for S {}
