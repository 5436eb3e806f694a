//! Executions. Each write names the version that it follows, so whoever read an older one changes nothing.

use crate::{
    Store, audit,
    entity::{
        execution::{self, Column as C},
        execution_head, server,
    },
    error::failure,
    page::{Counting, List, ListName, read_page, try_map},
    tasks::active_users,
    unit::{Batch, row},
    value::{Reader, micros, stored},
};
use async_trait::async_trait;
use domain::{
    Execution, ExecutionId, ExecutionStatus, Origin, Page, PageRequest, Scope, ServerId, TaskId,
    audit::events,
    ports::{ExecutionLevels, Executions, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select, UpdateMany,
    sea_query::{Expr, ExprTrait, LockType, SelectStatement},
};

#[async_trait]
impl Executions for Store {
    async fn create_execution(&self, execution: &Execution, origin: &Origin) -> StoreResult<()> {
        let row = execution::Model::new(execution)?;
        let insert = execution::Entity::insert::<execution::ActiveModel>(row.into());
        let write = |writes: &mut Batch| writes.run(insert);
        self.write_audited(write, events::execution_created(execution, origin)).await
    }

    async fn execution(&self, scope: Scope, id: ExecutionId) -> StoreResult<Option<Execution>> {
        let row = inside(scope).filter(C::Id.eq(id.0)).one(&self.read).await.map_err(failure)?;
        row.map(Execution::try_from).transpose()
    }

    async fn executions(
        &self,
        scope: Scope,
        task: TaskId,
        status: Option<ExecutionStatus>,
        page: &PageRequest,
    ) -> StoreResult<Page<Execution>> {
        let list = List {
            name: ListName::Executions,
            key: C::CreatedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &execution::Model| (row.created_at, row.id),
        };
        let rows = inside(scope)
            .filter(C::TaskId.eq(task.0))
            .apply_if(status, |rows, status| rows.filter(C::Status.eq(status.as_str())));
        try_map(read_page(&self.read, rows, &list, Counting::Bounded, page).await?, Execution::try_from)
    }

    async fn due_executions(&self, at: Timestamp, limit: u32) -> StoreResult<Vec<Execution>> {
        let rows = execution::Entity::find()
            .filter(due(at))
            .order_by_desc(C::Priority)
            .order_by_asc(C::DueAt)
            .order_by_asc(C::Id)
            .limit(u64::from(limit));
        self.executions_of(rows).await
    }

    async fn claim_execution(&self, claimed: &Execution, running_max: Option<u32>) -> StoreResult<bool> {
        let Some(running_max) = running_max else {
            return Ok(self.write_one(succeed(claimed)?).await? == 1);
        };
        let mut reads = self.batch();
        // Held by one at a time, so that what is counted stays so.
        reads.select(execution_head::Entity::find().lock(LockType::NoKeyUpdate));
        let running =
            reads.select_as::<Counted>(counted().filter(C::Status.eq(ExecutionStatus::Running.as_str())));
        let (mut read, unit) = self.open(reads).await?;
        let running = read.first(running)?.map_or(0, |row| row.count);
        if running >= i64::from(running_max) {
            return Ok(false);
        }
        let mut writes = self.batch();
        writes.run(succeed(claimed)?);
        Ok(unit.commit(writes).await?.affected() == 1)
    }

    async fn advance_execution(
        &self,
        successor: &Execution,
        at: Timestamp,
        by: Option<&Origin>,
    ) -> StoreResult<bool> {
        let Some(origin) = by else {
            return Ok(self.write_one(succeed(successor)?).await? == 1);
        };
        let mut reads = self.batch();
        let read_version = C::Version.eq(stored(successor.version.saturating_sub(1)));
        let row = execution::Entity::find_by_id(successor.id.0).filter(read_version);
        let row = reads.select(row.lock(LockType::NoKeyUpdate));
        let head = audit::lock_head(&mut reads);
        let (mut read, unit) = self.open(reads).await?;
        if read.first(row)?.is_none() {
            return Ok(false);
        }
        let head = audit::head(&mut read, head)?;
        let mut writes = self.batch();
        writes.run(succeed(successor)?);
        self.chain(&mut writes, head, [events::execution_advanced(successor, origin, at)])?;
        unit.commit(writes).await?;
        Ok(true)
    }

    async fn lost_executions(
        &self,
        worker: ServerId,
        except: &[ExecutionId],
        limit: u32,
    ) -> StoreResult<Vec<Execution>> {
        let rows = execution::Entity::find()
            .filter(C::Status.eq(ExecutionStatus::Running.as_str()))
            .filter(self.had_by_none_but(worker))
            .filter(C::Id.is_not_in(except.iter().map(|id| id.0)))
            .order_by_asc(C::StartedAt)
            .order_by_asc(C::Id)
            .limit(u64::from(limit));
        self.executions_of(rows).await
    }

    async fn unsettled_executions(
        &self,
        worker: ServerId,
        at: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Execution>> {
        let rows = execution::Entity::find()
            .filter(C::SettleDueAt.lte(micros(at)))
            .filter(self.had_by_none_but(worker))
            .order_by_asc(C::SettleDueAt)
            .order_by_asc(C::Id)
            .limit(u64::from(limit));
        self.executions_of(rows).await
    }

    async fn give_up_executions(&self, worker: ServerId) -> StoreResult<u64> {
        let is_unfinished = Condition::any()
            .add(C::Status.eq(ExecutionStatus::Running.as_str()))
            .add(C::SettleDueAt.is_not_null());
        let given_up = execution::Entity::update_many()
            .set(execution::ActiveModel { worker_id: Set(None), ..Default::default() })
            .col_expr(C::Version, Expr::col(C::Version).add(1))
            .filter(C::WorkerId.eq(worker.0))
            .filter(is_unfinished);
        self.write_one(given_up).await
    }

    async fn execution_levels(&self, at: Timestamp) -> StoreResult<ExecutionLevels> {
        let waiting = || {
            let waiting = ExecutionStatus::WAITING.map(ExecutionStatus::as_str);
            counted().column_as(C::DueAt.min(), "oldest").filter(C::Status.is_in(waiting))
        };
        let running = counted()
            .column_as(C::DueAt.min(), "oldest")
            .filter(C::Status.eq(ExecutionStatus::Running.as_str()));
        let due = self.level(waiting().filter(C::DueAt.lte(micros(at)))).await?;
        Ok(ExecutionLevels {
            due: due.count.unsigned_abs(),
            waiting: self.level(waiting().filter(C::DueAt.gt(micros(at)))).await?.count.unsigned_abs(),
            running: self.level(running).await?.count.unsigned_abs(),
            oldest_due_at: Reader("executions").instant_if("due_at", due.oldest)?,
        })
    }
}

impl Store {
    async fn executions_of(&self, rows: Select<execution::Entity>) -> StoreResult<Vec<Execution>> {
        rows.all(&self.read).await.map_err(failure)?.into_iter().map(Execution::try_from).collect()
    }

    async fn level(&self, rows: Select<execution::Entity>) -> StoreResult<Level> {
        let row = rows.into_model::<Level>().one(&self.read).await.map_err(failure)?;
        Ok(row.unwrap_or_default())
    }

    /// Of workers that are gone, of this one, and of none.
    fn had_by_none_but(&self, worker: ServerId) -> Condition {
        let living: SelectStatement = self.living().select_only().column(server::Column::Id).into_query();
        Condition::any()
            .add(C::WorkerId.is_null())
            .add(C::WorkerId.eq(worker.0))
            .add(C::WorkerId.not_in_subquery(living))
    }
}

fn counted() -> Select<execution::Entity> {
    execution::Entity::find().select_only().column_as(C::Id.count(), "count")
}

/// Those that wait, whose time has come, and whose users are active.
fn due(at: Timestamp) -> Condition {
    Condition::all()
        .add(C::Status.is_in(ExecutionStatus::WAITING.map(ExecutionStatus::as_str)))
        .add(C::DueAt.lte(micros(at)))
        .add(C::UserId.in_subquery(active_users()))
}

/// The row as it is from now on, if it is what it was when it was read.
fn succeed(successor: &Execution) -> StoreResult<UpdateMany<execution::Entity>> {
    let row: execution::ActiveModel = execution::Model::new(successor)?.into();
    let before = successor.version.saturating_sub(1);
    Ok(execution::Entity::update_many()
        .set(row.reset_all())
        .filter(C::Id.eq(successor.id.0))
        .filter(C::Version.eq(stored(before))))
}

fn inside(scope: Scope) -> Select<execution::Entity> {
    match scope {
        Scope::All => execution::Entity::find(),
        Scope::Owner(user) => execution::Entity::find().filter(C::UserId.eq(user.0)),
    }
}

row! {
    struct Counted {
        count: i64,
    }
}

#[derive(Debug, Default, FromQueryResult)]
struct Level {
    count: i64,
    oldest: Option<i64>,
}
