//! What was said and done in a session: messages and tool calls.

use crate::{MessageId, SessionId, ToolCallId, TurnId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageType {
    /// A prompt, or a tool's result on its way to the model.
    User,
    Assistant,
    /// A notice of the agent itself, such as a compaction.
    System,
}

impl MessageType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::User, Self::Assistant, Self::System];

    /// The word for this type on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A message on record.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: MessageId,
    pub session_id: SessionId,
    pub turn_id: Option<TurnId>,
    /// 1 for the first message of the session, without gaps.
    pub sequence_number: u64,
    pub message_type: MessageType,
    /// Text as a string, or content blocks as an array; as the agent gave it.
    pub content: Value,
    pub model: Option<String>,
    pub thinking: Option<String>,
    /// The tool call in whose subagent this was said.
    pub parent_tool_use_id: Option<String>,
    /// The transcript's entry of it.
    pub entry_uuid: Option<Uuid>,
    pub created_at: Timestamp,
}

/// A message to be recorded; the store gives it its number.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    pub id: MessageId,
    pub message_type: MessageType,
    pub content: Value,
    pub model: Option<String>,
    pub thinking: Option<String>,
    pub parent_tool_use_id: Option<String>,
    /// The transcript's entry of it.
    pub entry_uuid: Option<Uuid>,
}

/// Where a tool call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolCallStatus {
    /// Asked for by the model; its result has not come yet.
    Running,
    Completed,
    Failed,
    /// Refused by a policy or a person; it did not run.
    Denied,
    /// The turn ended before its result came.
    Interrupted,
}

impl ToolCallStatus {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Completed, Self::Failed, Self::Denied, Self::Interrupted];

    /// The word for this status on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Interrupted => "interrupted",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// A tool call on record.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    pub id: ToolCallId,
    pub session_id: SessionId,
    pub turn_id: Option<TurnId>,
    /// The model's id of the call.
    pub tool_use_id: String,
    pub tool_name: String,
    pub tool_input: Value,
    pub tool_output: Option<Value>,
    pub status: ToolCallStatus,
    pub permission_decision: Option<String>,
    pub permission_reason: Option<String>,
    pub created_at: Timestamp,
    pub completed_at: Option<Timestamp>,
}

/// A tool call's result.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutcome {
    pub tool_use_id: String,
    pub tool_output: Value,
    pub status: ToolCallStatus,
    pub permission_decision: Option<String>,
    pub permission_reason: Option<String>,
}
