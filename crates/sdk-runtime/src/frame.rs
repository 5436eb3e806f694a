//! Frames: what the agent reports, typed as far as a host needs it, the raw value always kept.

use serde_json::Value;
use uuid::Uuid;

use crate::{lazy::LazyValue, turn_result::prompt_ids};

/// One frame from the agent that is not control traffic and not a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// `system` frames: `init` at the start of every turn, `status`, `api_retry`, `task_started`, …
    System {
        /// Which one; the set is open.
        subtype: String,
        /// The frame as it came.
        raw: Value,
    },
    /// One finished content block of the model.
    Assistant {
        /// API message the block belongs to; blocks of one response share it.
        message_id: Option<String>,
        /// Set when the block comes from the subagent started by that tool call.
        parent_tool_use_id: Option<String>,
        /// Prompts this answers, on the first frame of a turn.
        prompts: Vec<Uuid>,
        /// Set on a made-up frame that reports an API failure, such as `overloaded`.
        error: Option<String>,
        /// The frame as it came.
        raw: Value,
    },
    /// Tool results, replays and synthetic texts.
    User {
        /// Set when it belongs to a subagent.
        parent_tool_use_id: Option<String>,
        /// An echo of something the host or a command said.
        is_replay: bool,
        /// Made up by the agent, such as a continuation nudge.
        is_synthetic: bool,
        /// The frame as it came.
        raw: Value,
    },
    /// One Messages API stream event, with partial messages on.
    StreamEvent {
        /// Set when it belongs to a subagent.
        parent_tool_use_id: Option<String>,
        /// The frame as it came, read when somebody looks: there are many, and few hosts take them apart.
        raw: LazyValue,
    },
    /// Where a prompt stands: `queued`, `started`, `completed`, `cancelled`.
    Lifecycle {
        /// The prompt, when its id is one of ours.
        prompt: Option<Uuid>,
        /// The state; the set is open.
        state: String,
        /// The frame as it came.
        raw: Value,
    },
    /// Any other frame.
    Unknown(Value),
}

impl Frame {
    /// Reads a frame; what is not known is kept.
    pub fn read(raw: Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let parent_tool_use_id = text(&raw["parent_tool_use_id"]);
        match raw["type"].as_str() {
            Some("system") => Self::System { subtype: text(&raw["subtype"]).unwrap_or_default(), raw },
            Some("assistant") => Self::Assistant {
                message_id: text(&raw["message"]["id"]),
                parent_tool_use_id,
                prompts: prompt_ids(&raw["user_message_uuids"]),
                error: text(&raw["error"]),
                raw,
            },
            Some("user") => Self::User {
                parent_tool_use_id,
                is_replay: raw["isReplay"].as_bool().unwrap_or_default(),
                is_synthetic: raw["isSynthetic"].as_bool().unwrap_or_default(),
                raw,
            },
            Some("stream_event") => Self::StreamEvent { parent_tool_use_id, raw: raw.into() },
            Some("command_lifecycle") => Self::Lifecycle {
                prompt: raw["command_uuid"].as_str().and_then(|id| id.parse().ok()),
                state: text(&raw["state"]).unwrap_or_default(),
                raw,
            },
            _ => Self::Unknown(raw),
        }
    }

    /// The frame as it came.
    pub fn raw(&self) -> &Value {
        match self {
            Self::System { raw, .. }
            | Self::Assistant { raw, .. }
            | Self::User { raw, .. }
            | Self::Lifecycle { raw, .. }
            | Self::Unknown(raw) => raw,
            Self::StreamEvent { raw, .. } => raw,
        }
    }

    /// The frame as it came, by value.
    pub fn into_raw(self) -> Value {
        match self {
            Self::System { raw, .. }
            | Self::Assistant { raw, .. }
            | Self::User { raw, .. }
            | Self::Lifecycle { raw, .. }
            | Self::Unknown(raw) => raw,
            Self::StreamEvent { raw, .. } => raw.into_value(),
        }
    }

    /// The frame's `type`, or an empty text.
    pub fn kind(&self) -> &str {
        match self {
            Self::StreamEvent { .. } => "stream_event",
            other => other.raw()["type"].as_str().unwrap_or_default(),
        }
    }

    /// The tool call whose subagent the frame comes from.
    pub fn parent_tool_use_id(&self) -> Option<&str> {
        match self {
            Self::Assistant { parent_tool_use_id, .. }
            | Self::User { parent_tool_use_id, .. }
            | Self::StreamEvent { parent_tool_use_id, .. } => parent_tool_use_id.as_deref(),
            Self::System { raw, .. } | Self::Lifecycle { raw, .. } | Self::Unknown(raw) => {
                raw["parent_tool_use_id"].as_str()
            }
        }
    }

    /// The frame's `uuid`; that of an assistant or user frame is also its id in the transcript.
    pub fn uuid(&self) -> Option<&str> {
        self.raw()["uuid"].as_str()
    }

    /// The session the frame belongs to. It changes when the conversation is cleared.
    pub fn session_id(&self) -> Option<&str> {
        self.raw()["session_id"].as_str()
    }

    /// The content blocks of an assistant or user frame; empty when the content is a plain text.
    pub fn blocks(&self) -> &[Value] {
        let content = self.raw()["message"]["content"].as_array();
        content.map(Vec::as_slice).unwrap_or_default()
    }

    /// The text of a text delta, for frames that carry one.
    pub fn text_delta(&self) -> Option<&str> {
        self.delta("text_delta", "text")
    }

    /// The text of a thinking delta, for frames that carry one.
    pub fn thinking_delta(&self) -> Option<&str> {
        self.delta("thinking_delta", "thinking")
    }

    fn delta(&self, kind: &str, field: &str) -> Option<&str> {
        let Self::StreamEvent { raw, .. } = self else {
            return None;
        };
        let delta = &raw["event"]["delta"];
        delta[field].as_str().filter(|_| delta["type"] == kind)
    }
}
