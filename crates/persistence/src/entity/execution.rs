//! A row of `executions`.

use crate::value::{Reader, micros, stored, to_json};
use domain::{
    Execution, ExecutionId, ExecutionStatus, ExecutionTrigger, MicroUsd, ServerId, SessionId, Settlement,
    TaskId, TurnId, UserId,
    ports::{StoreError, StoreResult},
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "executions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub task_id: Uuid,
    pub user_id: Uuid,
    pub trigger_kind: String,
    pub retry_of: Option<Uuid>,
    pub scheduled_for: Option<i64>,
    pub variables: Json,
    pub prompt: String,
    pub priority: i64,
    pub status: String,
    pub version: i64,
    pub fence: i64,
    pub attempt: i64,
    pub attempts_max: i64,
    pub retry_delay_ms: i64,
    pub due_at: i64,
    pub session_id: Uuid,
    pub session_created: bool,
    pub turn_id: Option<Uuid>,
    pub worker_id: Option<Uuid>,
    pub cancel_requested: bool,
    pub result: Option<String>,
    pub error: Option<Json>,
    pub tool_calls: i64,
    pub cost_micro_usd: i64,
    pub settle_due_at: Option<i64>,
    pub settle_attempts: i64,
    pub settle_error: Option<String>,
    pub settle_steps: Json,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub completed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(execution: &Execution) -> StoreResult<Self> {
        let settlement = &execution.settlement;
        Ok(Self {
            id: execution.id.0,
            task_id: execution.task_id.0,
            user_id: execution.user_id.0,
            trigger_kind: execution.trigger.as_str().to_owned(),
            retry_of: execution.retry_of.map(|id| id.0),
            scheduled_for: execution.scheduled_for.map(micros),
            variables: to_json(&execution.variables)?,
            prompt: execution.prompt.clone(),
            priority: execution.priority.into(),
            status: execution.status.as_str().to_owned(),
            version: stored(execution.version),
            fence: stored(execution.fence),
            attempt: execution.attempt.into(),
            attempts_max: execution.attempts_max.into(),
            retry_delay_ms: stored(execution.retry_delay_ms),
            due_at: micros(execution.due_at),
            session_id: execution.session_id.0,
            session_created: execution.session_created,
            turn_id: execution.turn_id.map(|id| id.0),
            worker_id: execution.worker.map(|id| id.0),
            cancel_requested: execution.cancel_requested,
            result: execution.result.clone(),
            error: execution.error.as_ref().map(to_json).transpose()?,
            tool_calls: stored(execution.tool_calls),
            cost_micro_usd: execution.cost.0,
            settle_due_at: settlement.due_at.map(micros),
            settle_attempts: settlement.attempts.into(),
            settle_error: settlement.error.clone(),
            settle_steps: to_json(&settlement.steps)?,
            created_at: micros(execution.created_at),
            started_at: execution.started_at.map(micros),
            completed_at: execution.completed_at.map(micros),
        })
    }
}

impl TryFrom<Model> for Execution {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("executions");
        Ok(Self {
            id: ExecutionId(row.id),
            task_id: TaskId(row.task_id),
            user_id: UserId(row.user_id),
            trigger: reader.word("trigger_kind", ExecutionTrigger::parse, &row.trigger_kind)?,
            retry_of: row.retry_of.map(ExecutionId),
            scheduled_for: reader.instant_if("scheduled_for", row.scheduled_for)?,
            variables: reader.json("variables", row.variables)?,
            prompt: row.prompt,
            priority: reader.figure("priority", row.priority)?,
            status: reader.word("status", ExecutionStatus::parse, &row.status)?,
            version: reader.figure("version", row.version)?,
            fence: reader.figure("fence", row.fence)?,
            attempt: reader.figure("attempt", row.attempt)?,
            attempts_max: reader.figure("attempts_max", row.attempts_max)?,
            retry_delay_ms: reader.figure("retry_delay_ms", row.retry_delay_ms)?,
            due_at: reader.instant("due_at", row.due_at)?,
            session_id: SessionId(row.session_id),
            session_created: row.session_created,
            turn_id: row.turn_id.map(TurnId),
            worker: row.worker_id.map(ServerId),
            cancel_requested: row.cancel_requested,
            result: row.result,
            error: row.error.map(|error| reader.json("error", error)).transpose()?,
            tool_calls: reader.figure("tool_calls", row.tool_calls)?,
            cost: MicroUsd(row.cost_micro_usd),
            settlement: Settlement {
                due_at: reader.instant_if("settle_due_at", row.settle_due_at)?,
                attempts: reader.figure("settle_attempts", row.settle_attempts)?,
                error: row.settle_error,
                steps: reader.json("settle_steps", row.settle_steps)?,
            },
            created_at: reader.instant("created_at", row.created_at)?,
            started_at: reader.instant_if("started_at", row.started_at)?,
            completed_at: reader.instant_if("completed_at", row.completed_at)?,
        })
    }
}
