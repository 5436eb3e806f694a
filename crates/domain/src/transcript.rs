//! Transcripts: what the CLI itself writes down of a conversation, kept here so that any server can go on with it.

use crate::SessionId;
use jiff::Timestamp;
use uuid::Uuid;

/// One transcript of a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TranscriptKey {
    pub session_id: SessionId,
    /// The CLI's own id of the conversation. A session has more than one when its agent was told to forget.
    pub conversation: Uuid,
    /// A transcript beside the main one, such as a subagent's.
    pub subpath: Option<String>,
}

/// A line of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptEntry {
    /// The CLI's id of it; notes of the CLI have none.
    pub uuid: Option<String>,
    /// JSON, as a text: it comes back as it was.
    pub text: String,
}

/// Lines to be added to a transcript, in their order; those it knows by their uuid are passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptLines {
    pub key: TranscriptKey,
    pub entries: Vec<TranscriptEntry>,
}

/// Part of a transcript, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TranscriptPart {
    /// The texts of the entries.
    pub entries: Vec<String>,
    /// The place of the last of them, after which the rest is to be read; `None` when there is no rest.
    pub next: Option<u64>,
}

/// A transcript that is there, without its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptSummary {
    pub conversation: Uuid,
    pub subpath: Option<String>,
    /// How many entries it has, which is the place of the last.
    pub length: u64,
    /// When it was last added to.
    pub added_at: Timestamp,
}

/// A place in the main transcript of a conversation, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TranscriptPlace {
    pub conversation: Uuid,
    pub position: u64,
}

/// How the entries of a conversation name it, in the one spelling in which they are kept.
#[must_use]
pub fn conversation_field(conversation: Uuid) -> String {
    format!(r#""sessionId":"{conversation}""#)
}
