//! Forks: a session that begins where another one was.

use crate::{Session, SessionId, SessionStatus, UserId, transcript::TranscriptPlace};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where the files of a fork come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectorySource {
    /// Copied from the parent's working directory, as it was when the fork was made.
    Current,
    /// Unpacked from an archive that was made at the very message.
    Archive,
    /// None were taken along.
    Empty,
    /// It works in a directory that others may work in too.
    Shared,
}

impl DirectorySource {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Current, Self::Archive, Self::Empty, Self::Shared];

    /// The word for it on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Archive => "archive",
            Self::Empty => "empty",
            Self::Shared => "shared",
        }
    }
}

/// A fork to be stored. Its files are in place already.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFork {
    /// The whole session; of its counters, `messages` says how many of the parent's are copied.
    pub session: Session,
    pub parent: SessionId,
    /// What is copied of the parent's transcript, with those of its subagents; the copy belongs to the conversation
    /// that the session says it has.
    pub cut: Option<TranscriptPlace>,
}

/// A member of a family of forks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relative {
    pub id: SessionId,
    pub user_id: UserId,
    pub name: Option<String>,
    pub status: SessionStatus,
    pub parent_session_id: Option<SessionId>,
    pub fork_at_message: Option<u64>,
    pub created_at: Timestamp,
}

impl From<Session> for Relative {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            user_id: session.user_id,
            name: session.name,
            status: session.status,
            parent_session_id: session.parent_session_id,
            fork_at_message: session.fork_at_message,
            created_at: session.created_at,
        }
    }
}

/// A message of the main conversation, and the transcript's entry of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageEntry {
    pub sequence_number: u64,
    /// Unknown of messages that were recorded before transcripts were kept.
    pub entry: Option<Uuid>,
}

impl MessageEntry {
    /// Whether it is a prompt, which an agent may never have been told. Ids that are given here are UUIDv7; the
    /// CLI's own are random.
    #[must_use]
    pub fn is_prompt(&self) -> bool {
        self.entry.is_some_and(|entry| entry.get_version_num() == 7)
    }
}
