//! A row of `tool_calls`.

use crate::value::{Reader, micros};
use domain::{SessionId, ToolCall, ToolCallId, ToolCallStatus, TurnId, ports::StoreError};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tool_calls")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub session_id: Uuid,
    pub turn_id: Option<Uuid>,
    pub tool_use_id: String,
    pub tool_name: String,
    pub tool_input: Json,
    pub tool_output: Option<Json>,
    pub status: String,
    pub permission_decision: Option<String>,
    pub permission_reason: Option<String>,
    pub created_at: i64,
    pub completed_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&ToolCall> for Model {
    fn from(call: &ToolCall) -> Self {
        Self {
            id: call.id.0,
            session_id: call.session_id.0,
            turn_id: call.turn_id.map(|id| id.0),
            tool_use_id: call.tool_use_id.clone(),
            tool_name: call.tool_name.clone(),
            tool_input: call.tool_input.clone(),
            tool_output: call.tool_output.clone(),
            status: call.status.as_str().to_owned(),
            permission_decision: call.permission_decision.clone(),
            permission_reason: call.permission_reason.clone(),
            created_at: micros(call.created_at),
            completed_at: call.completed_at.map(micros),
        }
    }
}

impl TryFrom<Model> for ToolCall {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("tool_calls");
        Ok(Self {
            id: ToolCallId(row.id),
            session_id: SessionId(row.session_id),
            turn_id: row.turn_id.map(TurnId),
            tool_use_id: row.tool_use_id,
            tool_name: row.tool_name,
            tool_input: row.tool_input,
            tool_output: row.tool_output,
            status: reader.word("status", ToolCallStatus::parse, &row.status)?,
            permission_decision: row.permission_decision,
            permission_reason: row.permission_reason,
            created_at: reader.instant("created_at", row.created_at)?,
            completed_at: reader.instant_if("completed_at", row.completed_at)?,
        })
    }
}
