//! One thing a watcher is told, in the words of the wire.

use super::journal_event::JournalEventShape;
use crate::{sessions::messages::MessageResponse, word::Word};
use domain::{Event, EventBody, EventKind};
use engine::{Delta, Sight};
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use uuid::Uuid;

/// Something a watcher is told.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StreamEvent {
    Journal(Box<JournalEvent>),
    Partial(PartialMessage),
    Closing(Closing),
}

/// The last event of a stream that the server ends: come back after the last number, with a credential that is good. It
/// is not of the session and has no number.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Closing {
    r#type: ClosingType,
    reason: ClosingReason,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ClosingType {
    Closing,
}

/// Why the server ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosingReason {
    /// It shuts down.
    ServerEnds,
    /// The client took too little of what there was.
    TooSlow,
    /// What let the client in lets it in no more.
    CredentialEnded,
    /// The session cannot be watched now.
    BrokenOff,
}

/// Something that happened and is on record. What each type carries is in [`JournalEventShape`].
#[derive(Debug, Serialize)]
pub struct JournalEvent {
    r#type: Word<EventKind>,
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

impl JsonSchema for JournalEvent {
    fn schema_name() -> Cow<'static, str> {
        "JournalEvent".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        JournalEventShape::json_schema(generator)
    }
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
    /// The last one.
    pub fn closing(reason: ClosingReason) -> Self {
        Self::Closing(Closing { r#type: ClosingType::Closing, reason })
    }

    /// The name of its type.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Journal(event) => event.r#type.0.as_str(),
            Self::Partial(_) => "partial_message",
            Self::Closing(_) => "closing",
        }
    }

    /// Its number in the journal; a partial message has none.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Journal(event) => Some(event.seq),
            Self::Partial(_) | Self::Closing(_) => None,
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
