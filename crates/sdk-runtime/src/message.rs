//! Messages: everything an agent says, typed.
//!
//! [`Frame`] is what the engine of a host needs in a hurry; [`Message`] is the same frame with every field
//! in its place. Reading never fails and loses nothing: what is not known stays in `extra` of its struct, a
//! known field of an unexpected type stays there too, and something that lacks what its type cannot be
//! without is kept whole as `Other`. All sets of words are open.
//!
//! ```
//! use sdk_runtime::message::{ContentBlock, Message};
//! use serde_json::json;
//!
//! let message = Message::read(json!({
//!     "type": "assistant",
//!     "message": { "content": [{ "type": "text", "text": "hello" }] },
//!     "mood": "good",
//! }));
//! let Message::Assistant(said) = &message else { unreachable!() };
//! assert!(matches!(&said.blocks()[0], ContentBlock::Text(text) if text.text == "hello"));
//! assert_eq!(said.extra["mood"], "good");
//! assert_eq!(message.into_value()["mood"], "good");
//! ```

mod blocks;
mod chat;
mod notices;
pub(crate) mod shape;
mod signals;
mod stream;
mod system;
mod tasks;
mod usage;

use serde_json::Value;

use self::shape::{Shape, tagged};
pub use self::{
    blocks::{
        Citations, Content, ContentBlock, Document, Encoded, Image, Location, RedactedThinking,
        ServerToolResult, Source, StoredFile, Text, Thinking, ToolResult, ToolUse,
    },
    chat::{
        ApiMessage, AssistantError, AssistantMessage, PermissionDecision, ToolResultMeta, ToolUseMeta,
        UserContent, UserMessage,
    },
    notices::{
        ApiRetry, CommandsChanged, CompactBoundary, CompactMetadata, ControlRequestProgress,
        ElicitationComplete, FilesPersisted, HookOutcome, HookProgress, HookResponse, HookStarted,
        Informational, Level, LocalCommandOutput, MemoryRecall, MirrorError, ModelRefusalFallback,
        ModelRefusalNoFallback, Notification, PermissionDenied, PluginInstall, PreservedMessages,
        PreservedSegment, SessionState, SessionStateChanged, SessionTitleChanged, SessionWritesLost, Status,
        ThinkingTokens, UiInvalidate, WorkerShuttingDown,
    },
    signals::{
        ActiveGoal, Attachment, AuthStatus, CommandLifecycle, ConversationReset, Goal, KeepAlive,
        LifecycleState, Lost, PromptSuggestion, RateLimitEvent, RateLimitInfo, RateLimitStatus, ToolProgress,
        ToolUseSummary, TranscriptMirror,
    },
    stream::{
        Bare, BlockDelta, BlockStart, BlockStop, CitationsDelta, Delta, InputJsonDelta, MessageDelta,
        MessageStart, SignatureDelta, StopDelta, StreamError, StreamEvent, StreamMessage, TextDelta,
        ThinkingDelta,
    },
    system::{Init, McpServer, Plugin, SystemMessage},
    tasks::{
        BackgroundTask, BackgroundTasksChanged, TaskNotification, TaskPatch, TaskProgress, TaskStarted,
        TaskStatus, TaskUpdated,
    },
    usage::{
        DeferredToolUse, ModelUsage, Origin, OriginKind, PermissionDenial, ServerToolUsage, TaskUsage, Usage,
    },
};
use crate::{frame::Frame, turn_result::TurnResult};

tagged! {
    /// One thing an agent said.
    pub enum Message by "type" {
        /// The model finished a content block.
        Assistant(Box<AssistantMessage>) = "assistant",
        /// A tool result, an echo, or a text the agent made up.
        User(Box<UserMessage>) = "user",
        /// The agent about itself.
        System(SystemMessage) = "system",
        /// The model writes.
        Stream(Box<StreamMessage>) = "stream_event",
        /// A turn ended.
        Result(Box<TurnResult>) = "result",
        /// Where a prompt stands.
        Lifecycle(CommandLifecycle) = "command_lifecycle",
        /// A tool takes its time.
        ToolProgress(ToolProgress) = "tool_progress",
        /// A few tool calls in words.
        ToolUseSummary(ToolUseSummary) = "tool_use_summary",
        /// How much of a subscription is used.
        RateLimit(RateLimitEvent) = "rate_limit_event",
        /// The conversation was cleared.
        ConversationReset(ConversationReset) = "conversation_reset",
        /// Lines of the transcript.
        TranscriptMirror(TranscriptMirror) = "transcript_mirror",
        /// Something was attached to the conversation.
        Attachment(Attachment) = "attachment",
        /// How signing in goes.
        AuthStatus(AuthStatus) = "auth_status",
        /// What the user may want to say next.
        PromptSuggestion(PromptSuggestion) = "prompt_suggestion",
        /// The goal the agent works towards.
        ActiveGoal(ActiveGoal) = "active_goal",
        /// The agent is there.
        KeepAlive(KeepAlive) = "keep_alive",
        /// Something the agent said did not reach the host.
        Lost(Lost) = "sdk_runtime_lost",
    } else Message::Other
}

impl Message {
    /// Reads a frame; what is not known is kept. It never fails.
    pub fn read(raw: Value) -> Self {
        Self::read_tagged(raw)
    }

    /// The frame again, with everything that was in it.
    pub fn into_value(self) -> Value {
        Shape::write(self)
    }

    /// Text of the model: that of a finished block, not of a delta.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Assistant(said) => Some(said.text()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The text of a text delta.
    pub fn text_delta(&self) -> Option<&str> {
        match self {
            Self::Stream(stream) => stream.text(),
            _ => None,
        }
    }

    /// Set when a subagent speaks: the tool call that started it.
    pub fn parent_tool_use_id(&self) -> Option<&str> {
        match self {
            Self::Assistant(said) => said.parent_tool_use_id.as_deref(),
            Self::User(said) => said.parent_tool_use_id.as_deref(),
            Self::Stream(stream) => stream.parent_tool_use_id.as_deref(),
            Self::ToolProgress(progress) => progress.parent_tool_use_id.as_deref(),
            _ => None,
        }
    }

    /// Whether this crate knows what it is.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Other(_) | Self::System(SystemMessage::Other(_)))
    }
}

impl Frame {
    /// The frame with every field in its place. It copies what the frame holds.
    pub fn message(&self) -> Message {
        Message::read(self.raw().clone())
    }

    /// The same without a copy.
    pub fn into_message(self) -> Message {
        Message::read(self.into_raw())
    }
}

impl From<Frame> for Message {
    fn from(frame: Frame) -> Self {
        frame.into_message()
    }
}

impl From<Value> for Message {
    fn from(raw: Value) -> Self {
        Self::read(raw)
    }
}

impl From<Message> for Value {
    fn from(message: Message) -> Self {
        message.into_value()
    }
}

/// The result keeps its frame whole, so there is nothing to take apart or to put back.
impl Shape for TurnResult {
    fn fits(value: &Value) -> bool {
        value.is_object()
    }

    fn read(mut value: Value) -> Result<Self, Value> {
        shape::tag(&mut value, "type", "result");
        Ok(TurnResult::read(value))
    }

    fn write(self) -> Value {
        self.raw
    }
}
