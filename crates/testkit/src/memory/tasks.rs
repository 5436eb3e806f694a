//! Tasks and their executions.

use super::{
    MemoryStore, State,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    Execution, ExecutionId, ExecutionStatus, Origin, Page, PageRequest, Scope, ServerId, Task, TaskId,
    UserId,
    audit::events,
    ports::{ExecutionLevels, Executions, StoreError, StoreResult, Tasks},
    task::{Firing, TaskFilter, TaskPatch},
};
use jiff::Timestamp;
use std::cmp::Reverse;

#[async_trait]
impl Tasks for MemoryStore {
    async fn create_task(&self, task: &Task, owned_max: u32, origin: &Origin) -> StoreResult<bool> {
        let mut state = self.state();
        if state.tasks.iter().filter(|one| one.user_id == task.user_id).count() >= owned_max as usize {
            return Ok(false);
        }
        state.tasks.push(task.clone());
        state.audit(events::task_created(task, origin))?;
        Ok(true)
    }

    async fn task(&self, scope: Scope, id: TaskId) -> StoreResult<Option<Task>> {
        let state = self.state();
        Ok(state.tasks.iter().find(|task| task.id == id && scope.covers(task.user_id)).cloned())
    }

    async fn tasks(&self, scope: Scope, filter: &TaskFilter, page: &PageRequest) -> StoreResult<Page<Task>> {
        let state = self.state();
        let shown = state.tasks.iter().filter(|task| scope.covers(task.user_id) && filter.passes(task));
        let key = |task: &Task| instant_key(task.created_at, task.id.0);
        read_page("tasks", shown.cloned().collect(), key, Direction::Descending, page)
    }

    async fn patch_task(
        &self,
        scope: Scope,
        id: TaskId,
        patch: &TaskPatch,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<Task>> {
        let mut state = self.state();
        let found = state.tasks.iter_mut().find(|task| task.id == id && scope.covers(task.user_id));
        let Some(task) = found else { return Ok(None) };
        let unreadable = StoreError::Inconsistent { table: "tasks", column: "schedule_cron" };
        let patched = patch.apply(task.clone(), at).map_err(|_| unreadable)?;
        *task = patched.clone();
        state.audit(events::task_changed(&patched, patch, origin, at))?;
        Ok(Some(patched))
    }

    async fn delete_task(
        &self,
        scope: Scope,
        id: TaskId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let found = state.tasks.iter().position(|task| task.id == id && scope.covers(task.user_id));
        let Some(index) = found else { return Ok(false) };
        let task = state.tasks.remove(index);
        state.audit(events::task_deleted(&task, origin, at))?;
        Ok(true)
    }

    async fn due_tasks(&self, at: Timestamp, limit: u32) -> StoreResult<Vec<Task>> {
        let state = self.state();
        let is_due = |task: &&Task| task.next_run_at.is_some_and(|next| next <= at);
        let mut due: Vec<Task> = state.tasks.iter().filter(is_due).cloned().collect();
        due.retain(|task| state.is_active(task.user_id));
        due.sort_by_key(|task| (task.next_run_at, task.id));
        due.truncate(limit as usize);
        Ok(due)
    }

    async fn fire(&self, firing: &Firing) -> StoreResult<bool> {
        let mut state = self.state();
        let found = state.tasks.iter_mut().find(|task| task.id == firing.task);
        let Some(task) = found.filter(|task| task.next_run_at == Some(firing.seen)) else {
            return Ok(false);
        };
        task.next_run_at = firing.next_run_at;
        for execution in &firing.executions {
            let is_known = state.executions.iter().any(|known| {
                known.task_id == execution.task_id && known.scheduled_for == execution.scheduled_for
            });
            if !is_known {
                state.executions.push(execution.clone());
                state.audit(events::execution_created(execution, &Origin::system()))?;
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl Executions for MemoryStore {
    async fn create_execution(&self, execution: &Execution, origin: &Origin) -> StoreResult<()> {
        let mut state = self.state();
        state.executions.push(execution.clone());
        state.audit(events::execution_created(execution, origin))
    }

    async fn execution(&self, scope: Scope, id: ExecutionId) -> StoreResult<Option<Execution>> {
        let state = self.state();
        let mut executions = state.executions.iter();
        Ok(executions.find(|one| one.id == id && scope.covers(one.user_id)).cloned())
    }

    async fn executions(
        &self,
        scope: Scope,
        task: TaskId,
        status: Option<ExecutionStatus>,
        page: &PageRequest,
    ) -> StoreResult<Page<Execution>> {
        let state = self.state();
        let shown = state.executions.iter().filter(|one| {
            one.task_id == task
                && scope.covers(one.user_id)
                && status.is_none_or(|status| one.status == status)
        });
        let key = |one: &Execution| instant_key(one.created_at, one.id.0);
        read_page("executions", shown.cloned().collect(), key, Direction::Descending, page)
    }

    async fn due_executions(&self, at: Timestamp, limit: u32) -> StoreResult<Vec<Execution>> {
        let state = self.state();
        let is_due = |one: &&Execution| {
            ExecutionStatus::WAITING.contains(&one.status) && one.due_at <= at && state.is_active(one.user_id)
        };
        let mut due: Vec<Execution> = state.executions.iter().filter(is_due).cloned().collect();
        due.sort_by_key(|one| (Reverse(one.priority), one.due_at, one.id));
        due.truncate(limit as usize);
        Ok(due)
    }

    async fn claim_execution(&self, claimed: &Execution, running_max: Option<u32>) -> StoreResult<bool> {
        let mut state = self.state();
        let running = state.executions.iter().filter(|one| one.status == ExecutionStatus::Running).count();
        let has_room = running_max.is_none_or(|max| running < max as usize);
        Ok(has_room && state.succeed(claimed))
    }

    async fn advance_execution(
        &self,
        successor: &Execution,
        at: Timestamp,
        by: Option<&Origin>,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let advanced = state.succeed(successor);
        if let Some(origin) = by.filter(|_| advanced) {
            state.audit(events::execution_advanced(successor, origin, at))?;
        }
        Ok(advanced)
    }

    async fn lost_executions(
        &self,
        worker: ServerId,
        except: &[ExecutionId],
        limit: u32,
    ) -> StoreResult<Vec<Execution>> {
        let state = self.state();
        let is_lost = |one: &&Execution| {
            one.status == ExecutionStatus::Running
                && !except.contains(&one.id)
                && state.is_had_by_none_but(worker, one)
        };
        let mut lost: Vec<Execution> = state.executions.iter().filter(is_lost).cloned().collect();
        lost.sort_by_key(|one| (one.started_at, one.id));
        lost.truncate(limit as usize);
        Ok(lost)
    }

    async fn unsettled_executions(
        &self,
        worker: ServerId,
        at: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Execution>> {
        let state = self.state();
        let is_due = |one: &&Execution| {
            one.settlement.due_at.is_some_and(|due| due <= at) && state.is_had_by_none_but(worker, one)
        };
        let mut due: Vec<Execution> = state.executions.iter().filter(is_due).cloned().collect();
        due.sort_by_key(|one| (one.settlement.due_at, one.id));
        due.truncate(limit as usize);
        Ok(due)
    }

    async fn give_up_executions(&self, worker: ServerId) -> StoreResult<u64> {
        let mut state = self.state();
        let had = state.executions.iter_mut().filter(|one| {
            let is_unfinished = one.status == ExecutionStatus::Running || one.settlement.due_at.is_some();
            is_unfinished && one.worker == Some(worker)
        });
        let mut count = 0;
        for one in had {
            (one.worker, one.version) = (None, one.version + 1);
            count += 1;
        }
        Ok(count)
    }

    async fn execution_levels(&self, at: Timestamp) -> StoreResult<ExecutionLevels> {
        let state = self.state();
        let mut levels = ExecutionLevels::default();
        for one in &state.executions {
            match one.status {
                ExecutionStatus::Running => levels.running += 1,
                status if !ExecutionStatus::WAITING.contains(&status) => {}
                _ if one.due_at > at => levels.waiting += 1,
                _ => {
                    levels.due += 1;
                    let oldest = levels.oldest_due_at.map_or(one.due_at, |oldest| oldest.min(one.due_at));
                    levels.oldest_due_at = Some(oldest);
                }
            }
        }
        Ok(levels)
    }
}

impl State {
    fn is_active(&self, user: UserId) -> bool {
        self.users.iter().any(|known| known.user.id == user && known.user.is_active)
    }

    fn is_had_by_none_but(&self, worker: ServerId, execution: &Execution) -> bool {
        execution.worker.is_none_or(|had| had == worker || !self.lives(had))
    }

    fn succeed(&mut self, successor: &Execution) -> bool {
        let found = self.executions.iter_mut().find(|one| one.id == successor.id);
        let Some(one) = found.filter(|one| one.version + 1 == successor.version) else { return false };
        *one = successor.clone();
        true
    }

    /// Forgets what a user had done.
    pub(super) fn forget_tasks(&mut self, user: UserId) {
        self.tasks.retain(|task| task.user_id != user);
        self.executions.retain(|one| one.user_id != user);
    }
}
