//! One thing a watcher is told, in the words of the wire.

use crate::{sessions::messages::MessageResponse, word::Word};
use domain::{Event, EventBody, EventKind};
use engine::{Delta, Sight};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Something a watcher is told.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StreamEvent {
    Journal(Box<JournalEvent>),
    Partial(PartialMessage),
}

/// Something that happened and is on record.
///
/// Beside these fields an event has those of its type. `message_sent`: `message_id`. `message`: `message`.
/// `tool_call_started`: `tool_call_id`, `tool_use_id`, `tool_name`, `tool_input`. `tool_call_completed`:
/// `tool_call_id`, `tool_use_id`, `tool_name`, `status`, `duration_ms`. `status_change`: `from`, `to`. `result`:
/// `status`, `answer_message_id`, `text`, `error_code`, `error_message`, `rounds`, `retries`, `metrics`.
/// `permission_decision`: `decision_id`, `tool_use_id`, `tool_name`, `decision`, `policy`, `policy_version`, `rule`,
/// `reason`, `decided_by`. `error` and `notice` say what happened in fields of their own.
/// `hook_executed`: `hook_run_id`, `hook_type`, `hook_name`, `tool_use_id`, `tool_name`, `status`,
/// `continue_execution`, `error_message`, `duration_ms`. `error` and `notice` say what happened in fields of their own.
/// `approval_requested`: `approval_id`, `kind`, `tool_use_id`, `tool_name`, `tool_input`, `title`, `description`,
/// `reason`, `policy`, `rule`, `suggestions`, `default_verdict`, `expires_at`. `approval_decided`: `approval_id`,
/// `kind`, `tool_use_id`, `tool_name`, `status`, `verdict`, `decided_by`, `reason`, `updated_input`, `remember`.
/// `error` and `notice` say what happened in fields of their own.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JournalEvent {
    r#type: Word<EventKind>,
    /// 1 for the first event of the session, without gaps.
    seq: u64,
    session_id: Uuid,
    turn_id: Option<Uuid>,
    at: Timestamp,
    /// Only of a `message`.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageResponse>,
    #[serde(flatten)]
    data: Map<String, Value>,
}

/// A piece of an answer in the making. It is told once and not kept; the whole follows as a `message`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PartialMessage {
    r#type: PartialMessageType,
    turn_id: Uuid,
    /// The tool call in whose subagent this is said.
    parent_tool_use_id: Option<String>,
    /// As the model's service streamed it.
    event: Value,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PartialMessageType {
    PartialMessage,
}

impl StreamEvent {
    /// The name of its type.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Journal(event) => event.r#type.0.as_str(),
            Self::Partial(_) => "partial_message",
        }
    }

    /// Its number in the journal; a partial message has none.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Journal(event) => Some(event.seq),
            Self::Partial(_) => None,
        }
    }
}

impl From<Sight> for StreamEvent {
    fn from(sight: Sight) -> Self {
        match sight {
            Sight::Event(event) => Self::Journal(Box::new(Event::clone(&event).into())),
            Sight::Delta(delta) => Self::Partial(PartialMessage::from(&*delta)),
        }
    }
}

impl From<&Delta> for PartialMessage {
    fn from(delta: &Delta) -> Self {
        Self {
            r#type: PartialMessageType::PartialMessage,
            turn_id: delta.turn_id.0,
            parent_tool_use_id: delta.parent_tool_use_id.clone(),
            event: delta.event.clone(),
        }
    }
}

impl From<Event> for JournalEvent {
    fn from(event: Event) -> Self {
        let (message, data) = match event.body {
            EventBody::Message(message) => (Some(MessageResponse::from(*message)), Map::new()),
            EventBody::Data(Value::Object(data)) => (None, data),
            EventBody::Data(other) => (None, Map::from_iter([("detail".to_owned(), other)])),
        };
        Self {
            r#type: Word(event.kind),
            seq: event.seq,
            session_id: event.session_id.0,
            turn_id: event.turn_id.map(|id| id.0),
            at: event.at,
            message,
            data,
        }
    }
}
