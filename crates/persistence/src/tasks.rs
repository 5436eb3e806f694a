//! Tasks, and moving their schedules on.

use crate::{
    Store,
    entity::{
        execution,
        task::{self, Column as C, tagged},
        user,
    },
    error::failure,
    page::{Counting, List, ListName, read_page, try_map},
    sessions::containing,
    unit::row,
    value::{Reader, micros},
};
use async_trait::async_trait;
use domain::{
    Origin, Page, PageRequest, Scope, Task, TaskId,
    audit::events,
    ports::{StoreResult, Tasks},
    task::{Firing, TaskFilter, TaskPatch},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, DbBackend, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
    sea_query::{Expr, ExprTrait, Func, LockType, SelectStatement, SimpleExpr},
};

#[async_trait]
impl Tasks for Store {
    async fn create_task(&self, task: &Task, owned_max: u32, origin: &Origin) -> StoreResult<bool> {
        let (owned, row) = (present(Scope::Owner(task.user_id)), task::Model::new(task)?);
        let created = events::task_created(task, origin);
        self.add_owned(owned, owned_max, created, |writes| writes.insert(task::ActiveModel::from(row))).await
    }

    async fn task(&self, scope: Scope, id: TaskId) -> StoreResult<Option<Task>> {
        let row = one(scope, id).one(&self.read).await.map_err(failure)?;
        row.map(Task::try_from).transpose()
    }

    async fn tasks(&self, scope: Scope, filter: &TaskFilter, page: &PageRequest) -> StoreResult<Page<Task>> {
        let list = List {
            name: ListName::Tasks,
            key: C::CreatedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &task::Model| (row.created_at, row.id),
        };
        let mut rows = present(scope)
            .apply_if(filter.is_scheduled, |rows, is_scheduled| rows.filter(C::IsScheduled.eq(is_scheduled)))
            .apply_if(filter.q.as_deref(), |rows, q| rows.filter(C::SearchText.like(containing(q))));
        for tag in &filter.tags {
            rows = rows.filter(self.has_tag(tag));
        }
        try_map(read_page(&self.read, rows, &list, Counting::Bounded, page).await?, Task::try_from)
    }

    async fn patch_task(
        &self,
        scope: Scope,
        id: TaskId,
        patch: &TaskPatch,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Option<Task>> {
        let found = self.change_of::<_, Task>(one(scope, id)).await?;
        let Some((task, mut change)) = found else { return Ok(None) };
        let patched = patch.apply(task, at);
        let patched = patched.map_err(|_| Reader("tasks").inconsistent("schedule_cron"))?;
        let row: task::ActiveModel = task::Model::new(&patched)?.into();
        change.writes.replace(C::Id.eq(id.0), row);
        change.commit(self, [events::task_changed(&patched, patch, origin, at)]).await?;
        Ok(Some(patched))
    }

    async fn delete_task(
        &self,
        scope: Scope,
        id: TaskId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let found = self.change_of::<_, Task>(one(scope, id)).await?;
        let Some((task, mut change)) = found else { return Ok(false) };
        let deleted = task::ActiveModel {
            deleted_at: Set(Some(micros(at))),
            next_run_at: Set(None),
            ..Default::default()
        };
        change.writes.run(task::Entity::update_many().set(deleted).filter(C::Id.eq(id.0)));
        change.commit(self, [events::task_deleted(&task, origin, at)]).await?;
        Ok(true)
    }

    async fn due_tasks(&self, at: Timestamp, limit: u32) -> StoreResult<Vec<Task>> {
        let rows = present(Scope::All)
            .filter(C::NextRunAt.lte(micros(at)))
            .filter(C::UserId.in_subquery(active_users()))
            .order_by_asc(C::NextRunAt)
            .order_by_asc(C::Id)
            .limit(u64::from(limit));
        rows.all(&self.read).await.map_err(failure)?.into_iter().map(Task::try_from).collect()
    }

    async fn fire(&self, firing: &Firing) -> StoreResult<bool> {
        let mut reads = self.batch();
        let task = reads.select(one(Scope::All, firing.task).lock(LockType::NoKeyUpdate));
        let had = reads.select_as::<Had>(had(firing));
        let (mut read, mut change) = self.change(reads).await?;
        let task = read.first(task)?.map(Task::try_from).transpose()?;
        if task.is_none_or(|task| task.next_run_at != Some(firing.seen)) {
            return Ok(false);
        }
        // A schedule that was set back comes to times again that it had. Whoever adds others waits for the task.
        let had: Vec<_> = read.all(had)?.into_iter().map(|had| Some(had.scheduled_for)).collect();
        let new = firing.executions.iter().filter(|one| !had.contains(&one.scheduled_for.map(micros)));
        let new: Vec<_> = new.collect();
        let rows = new.iter().map(|one| Ok(execution::Model::new(one)?.into()));
        change.writes.insert_all(rows.collect::<StoreResult<Vec<execution::ActiveModel>>>()?);
        let next = firing.next_run_at.map(micros);
        let moved = task::Entity::update_many().col_expr(C::NextRunAt, Expr::value(next));
        change.writes.run(moved.filter(C::Id.eq(firing.task.0)));
        let system = Origin::system();
        let events = new.into_iter().map(|one| events::execution_created(one, &system));
        change.commit(self, events).await?;
        Ok(true)
    }
}

impl Store {
    /// Whether a task has this tag, as it is written: to SQLite's LIKE case is nothing.
    fn has_tag(&self, tag: &str) -> SimpleExpr {
        let position = match self.read.get_database_backend() {
            DbBackend::Postgres => "strpos",
            _ => "instr",
        };
        Expr::expr(Func::cust(position).arg(C::Tags.into_expr()).arg(tagged(tag))).gt(0)
    }
}

row! {
    /// A due time for which there is an execution.
    struct Had {
        scheduled_for: i64,
    }
}

/// Those of these due times that the task had before.
fn had(firing: &Firing) -> Select<execution::Entity> {
    use execution::Column as E;
    let times = firing.executions.iter().filter_map(|one| one.scheduled_for).map(micros);
    let rows = execution::Entity::find().select_only().column(E::ScheduledFor);
    rows.filter(E::TaskId.eq(firing.task.0)).filter(E::ScheduledFor.is_in(times))
}

fn one(scope: Scope, id: TaskId) -> Select<task::Entity> {
    present(scope).filter(C::Id.eq(id.0))
}

fn present(scope: Scope) -> Select<task::Entity> {
    let rows = task::Entity::find().filter(C::DeletedAt.is_null());
    match scope {
        Scope::All => rows,
        Scope::Owner(user) => rows.filter(Condition::all().add(C::UserId.eq(user.0))),
    }
}

/// Users for whom something may run.
pub(crate) fn active_users() -> SelectStatement {
    user::Entity::find()
        .select_only()
        .column(user::Column::Id)
        .filter(user::Column::IsActive.eq(true))
        .into_query()
}
