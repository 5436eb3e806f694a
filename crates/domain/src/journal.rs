//! The journal: the only truth about what happened in a session, in order and without gaps.

pub mod data;

use crate::{Message, MessageId, NewMessage, SessionId, ToolCallId, TurnId, history::ToolOutcome};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// What kind of thing happened; the name watchers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A prompt was accepted and its turn began.
    MessageSent,
    /// A message joined the conversation.
    Message,
    ToolCallStarted,
    ToolCallCompleted,
    /// The session moved to another state.
    StatusChange,
    /// A turn ended.
    Result,
    /// Something failed; a `result` follows when it ended the turn.
    Error,
    /// Worth knowing, needs nothing: a retry, a compaction, a prompt put in the queue.
    Notice,
    /// A person is asked.
    ApprovalRequested,
    /// A person has answered, nobody did in time, or nobody needs to any more.
    ApprovalDecided,
    /// It was decided whether a tool call runs.
    PermissionDecision,
    /// A custom hook ran, or another blocked, changed something or failed.
    HookExecuted,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::MessageSent,
        Self::Message,
        Self::ToolCallStarted,
        Self::ToolCallCompleted,
        Self::StatusChange,
        Self::Result,
        Self::Error,
        Self::Notice,
        Self::ApprovalRequested,
        Self::ApprovalDecided,
        Self::PermissionDecision,
        Self::HookExecuted,
    ];

    /// The word for this kind on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MessageSent => "message_sent",
            Self::Message => "message",
            Self::ToolCallStarted => "tool_call_started",
            Self::ToolCallCompleted => "tool_call_completed",
            Self::StatusChange => "status_change",
            Self::Result => "result",
            Self::Error => "error",
            Self::Notice => "notice",
            Self::ApprovalRequested => "approval_requested",
            Self::ApprovalDecided => "approval_decided",
            Self::PermissionDecision => "permission_decision",
            Self::HookExecuted => "hook_executed",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub session_id: SessionId,
    /// 1 for the first event of the session, without gaps.
    pub seq: u64,
    pub turn_id: Option<TurnId>,
    pub kind: EventKind,
    pub at: Timestamp,
    pub body: EventBody,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    /// The message itself, which is stored once, beside the journal.
    Message(Box<Message>),
    /// An object whose fields depend on the kind.
    Data(Value),
}

/// Something to be recorded. All entries of one call are recorded together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Stores the message, counts it, and journals it as `message`.
    Message(Box<NewMessage>),
    /// Stores the call, counts it, and journals it as `tool_call_started`.
    ToolCallStarted { id: ToolCallId, tool_use_id: String, tool_name: String, tool_input: Value },
    /// Completes the call of that `tool_use_id` and journals it as `tool_call_completed`; an unknown one is ignored.
    ToolCallCompleted(Box<ToolOutcome>),
    /// Journals an error and counts it on the session.
    Error(Value),
    /// Journals a retry and counts it on the session.
    Retry(Value),
    /// Notes under which id the agent was told the message, which it was not the first time. Journals nothing.
    PromptedAgain { message: MessageId, entry_uuid: Uuid },
    /// Journals a notice.
    Notice(Value),
}
