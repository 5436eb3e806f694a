//! `GET /sessions/{id}/tool-calls`.

use super::HistoryQuery;
use crate::{ApiState, caller::Caller, error::problem, page::Here, word::Word};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Linked, NotFound, PathParams, Unavailable, ValidQuery};
use domain::{SessionId, ToolCall, ToolCallStatus};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// One use of a tool.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ToolCallResponse {
    id: Uuid,
    session_id: Uuid,
    turn_id: Option<Uuid>,
    tool_name: String,
    /// The model's id of the call.
    tool_use_id: String,
    tool_input: Value,
    /// Null until the result came.
    tool_output: Option<Value>,
    status: Word<ToolCallStatus>,
    is_error: bool,
    duration_ms: Option<i64>,
    permission_decision: Option<String>,
    permission_reason: Option<String>,
    created_at: Timestamp,
    completed_at: Option<Timestamp>,
}

impl From<ToolCall> for ToolCallResponse {
    fn from(call: ToolCall) -> Self {
        let duration_ms =
            call.completed_at.map(|end| (end.as_millisecond() - call.created_at.as_millisecond()).max(0));
        Self {
            id: call.id.0,
            session_id: call.session_id.0,
            turn_id: call.turn_id.map(|id| id.0),
            tool_name: call.tool_name,
            tool_use_id: call.tool_use_id,
            tool_input: call.tool_input,
            tool_output: call.tool_output,
            is_error: match call.status {
                ToolCallStatus::Failed | ToolCallStatus::Denied => true,
                ToolCallStatus::Running | ToolCallStatus::Completed | ToolCallStatus::Interrupted => false,
            },
            status: Word(call.status),
            duration_ms,
            permission_decision: call.permission_decision,
            permission_reason: call.permission_reason,
            created_at: call.created_at,
            completed_at: call.completed_at,
        }
    }
}

/// List a session's tool calls
///
/// Oldest first.
#[api_v2_operation(tags(Sessions), operation_id = "listToolCalls")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<HistoryQuery>,
) -> Result<Linked<Fetched<Vec<ToolCallResponse>>>, Fail<(NotFound, Invalid, Unavailable)>> {
    let request = query.0.request();
    let page = state.sessions.tool_calls(&caller.0, SessionId(id.0), &request).await.map_err(problem)?;
    let next = here.next(page.next_cursor.as_deref());
    let calls = page.items.into_iter().map(ToolCallResponse::from).collect();
    Ok(Linked::next(Fetched::new(calls), next.as_deref()))
}
