//! A report: what a session was at one instant, as people keep it and pass it on.
//!
//! What is stored is the document; files of every format are made of it when somebody asks.

mod document;

pub use document::*;

use crate::{ReportId, SessionId, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a report is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// The document itself, for programs.
    Json,
    Markdown,
    /// One file without scripts, that loads nothing.
    Html,
    Pdf,
}

impl ReportFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Json, Self::Markdown, Self::Html, Self::Pdf];

    /// The word for it on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Pdf => "pdf",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// How the names of such files end, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Pdf => "pdf",
        }
    }

    /// The media type of such files.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Pdf => "application/pdf",
        }
    }
}

/// What a report tells beside what the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportParts {
    /// The conversation.
    pub messages: bool,
    /// Tool calls, what was decided about them, and what people were asked.
    pub tool_calls: bool,
    /// Figures, costs by model, and turns.
    pub metrics: bool,
}

impl ReportParts {
    /// All of it.
    pub const ALL: Self = Self { messages: true, tool_calls: true, metrics: true };
}

/// What somebody wants a report of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewReport {
    pub session_id: SessionId,
    /// What a download is when it does not say.
    pub format: ReportFormat,
    pub parts: ReportParts,
}

/// A report on record; its document is read by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub id: ReportId,
    /// The session's owner.
    pub user_id: UserId,
    pub session_id: SessionId,
    /// The session's name as it was then.
    pub session_name: Option<String>,
    pub format: ReportFormat,
    pub parts: ReportParts,
    /// Of the document, as JSON.
    pub size_bytes: u64,
    /// Whether something of the session was left out because the report would be too large; it says what.
    pub is_shortened: bool,
    pub created_at: Timestamp,
}

/// Which reports a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportFilter {
    pub session_id: Option<SessionId>,
    pub format: Option<ReportFormat>,
}
