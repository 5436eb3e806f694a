//! A row of `hook_runs`.

use crate::value::{Reader, micros, stored};
use domain::{HookRun, HookRunId, HookRunStatus, SessionId, TurnId, ports::StoreError};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hook_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub session_id: Uuid,
    pub turn_id: Option<Uuid>,
    pub hook_type: String,
    pub hook_name: String,
    pub tool_use_id: Option<String>,
    pub tool_name: Option<String>,
    pub input: Json,
    pub output: Option<Json>,
    pub continued: bool,
    pub status: String,
    pub error: Option<String>,
    pub duration_us: i64,
    pub is_notable: bool,
    pub executed_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<HookRun> for Model {
    fn from(run: HookRun) -> Self {
        Self {
            id: run.id.0,
            session_id: run.session_id.0,
            turn_id: run.turn_id.map(|id| id.0),
            hook_type: run.hook_type,
            hook_name: run.hook_name,
            tool_use_id: run.tool_use_id,
            tool_name: run.tool_name,
            input: run.input,
            output: run.output,
            continued: run.continued,
            status: run.status.as_str().to_owned(),
            error: run.error,
            duration_us: stored(run.duration_us),
            is_notable: run.is_notable,
            executed_at: micros(run.executed_at),
        }
    }
}

impl TryFrom<Model> for HookRun {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("hook_runs");
        Ok(Self {
            id: HookRunId(row.id),
            session_id: SessionId(row.session_id),
            turn_id: row.turn_id.map(TurnId),
            hook_type: row.hook_type,
            hook_name: row.hook_name,
            tool_use_id: row.tool_use_id,
            tool_name: row.tool_name,
            input: row.input,
            output: row.output,
            continued: row.continued,
            status: reader.word("status", HookRunStatus::parse, &row.status)?,
            error: row.error,
            duration_us: reader.figure("duration_us", row.duration_us)?,
            is_notable: row.is_notable,
            executed_at: reader.instant("executed_at", row.executed_at)?,
        })
    }
}
