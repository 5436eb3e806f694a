//! `GET /sessions/{id}/messages`.

use super::HistoryQuery;
use crate::{ApiState, caller::Caller, error::problem, page::Here, word::Word};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Linked, NotFound, PathParams, Unavailable, ValidQuery};
use domain::{Message, MessageType, SessionId};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// One message of a conversation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MessageResponse {
    id: Uuid,
    session_id: Uuid,
    turn_id: Option<Uuid>,
    /// 1 for the first message of the session.
    sequence_number: u64,
    message_type: Word<MessageType>,
    /// Text as a string, or content blocks as an array.
    content: Value,
    model: Option<String>,
    is_partial: bool,
    parent_message_id: Option<Uuid>,
    /// The tool call in whose subagent this was said.
    parent_tool_use_id: Option<String>,
    thinking_content: Option<String>,
    created_at: Timestamp,
}

impl From<Message> for MessageResponse {
    fn from(message: Message) -> Self {
        Self {
            id: message.id.0,
            session_id: message.session_id.0,
            turn_id: message.turn_id.map(|id| id.0),
            sequence_number: message.sequence_number,
            message_type: Word(message.message_type),
            content: message.content,
            model: message.model,
            // Only whole messages are stored.
            is_partial: false,
            parent_message_id: None,
            parent_tool_use_id: message.parent_tool_use_id,
            thinking_content: message.thinking,
            created_at: message.created_at,
        }
    }
}

/// List a session's messages
///
/// Oldest first.
#[api_v2_operation(tags(Sessions), operation_id = "listMessages")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<HistoryQuery>,
) -> Result<Linked<Fetched<Vec<MessageResponse>>>, Fail<(NotFound, Invalid, Unavailable)>> {
    let request = query.0.request();
    let page = state.sessions.messages(&caller.0, SessionId(id.0), &request).await.map_err(problem)?;
    let next = here.next(page.next_cursor.as_deref());
    let messages = page.items.into_iter().map(MessageResponse::from).collect();
    Ok(Linked::next(Fetched::new(messages), next.as_deref()))
}
