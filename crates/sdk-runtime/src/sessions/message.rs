//! Messages of a stored conversation, and pages of them.

use serde_json::Value;

/// One message of a stored conversation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SessionMessage {
    /// Who speaks.
    pub role: Role,
    /// Its id, which is that of the streamed frame too.
    pub uuid: String,
    /// The session it belongs to.
    pub session_id: String,
    /// The message as the Messages API knows it: `role`, `content`, ….
    pub message: Value,
    /// In a subagent's conversation, the tool call that started the subagent.
    pub parent_tool_use_id: Option<String>,
    /// In a subagent's conversation, the subagent that started it, if one did.
    pub parent_agent_id: Option<String>,
    /// The line of the transcript.
    pub raw: Value,
}

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// A person, a tool or the CLI itself.
    User,
    /// The model.
    Assistant,
}

/// A part of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// How many to leave out at the beginning.
    pub offset: usize,
    /// How many to have at most; `None` for all.
    pub limit: Option<usize>,
}

impl Page {
    /// All there is.
    pub fn all() -> Self {
        Self::default()
    }

    /// This many at most, after leaving out `offset`.
    pub fn new(offset: usize, limit: usize) -> Self {
        Self { offset, limit: Some(limit) }
    }

    pub(crate) fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let limit = self.limit.unwrap_or(usize::MAX);
        all.into_iter().skip(self.offset).take(limit).collect()
    }
}

/// The ids of what started a subagent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parents {
    pub(crate) tool_use_id: Option<String>,
    pub(crate) agent_id: Option<String>,
}

impl Parents {
    /// From `agent-<id>.meta.json`, or its copy in a store.
    pub(crate) fn of(metadata: &Value) -> Self {
        let text = |key: &str| metadata[key].as_str().map(str::to_owned);
        Self { tool_use_id: text("toolUseId"), agent_id: text("parentAgentId") }
    }
}

impl SessionMessage {
    /// `None` for entries that are no messages.
    pub(crate) fn of(raw: Value, parents: &Parents) -> Option<Self> {
        let role = match raw["type"].as_str() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            _ => return None,
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some(Self {
            role,
            uuid: text(&raw["uuid"]),
            session_id: text(&raw["sessionId"]),
            message: raw["message"].clone(),
            parent_tool_use_id: parents.tool_use_id.clone(),
            parent_agent_id: parents.agent_id.clone(),
            raw,
        })
    }
}
