//! What a listing says of a session, from an excerpt of its transcript.

use std::{path::PathBuf, time::SystemTime};

use serde_json::Value;
use uuid::Uuid;

use super::{
    excerpt::Excerpt,
    fields::{self, mentions},
    first_prompt::FirstPrompt,
};

/// What is known of a session without reading its whole transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The session.
    pub session_id: Uuid,
    /// What to show: the title, else the last prompt, else a summary, else the first prompt.
    pub summary: String,
    /// When its transcript was last written.
    pub modified: SystemTime,
    /// Length of its transcript in bytes; `None` when it is in a store.
    pub bytes: Option<u64>,
    /// The title a person gave, else the one the model gave.
    pub title: Option<String>,
    /// The first prompt a person wrote, at most 200 characters.
    pub first_prompt: Option<String>,
    /// Git branch at its end.
    pub git_branch: Option<String>,
    /// Working directory at its beginning.
    pub cwd: Option<PathBuf>,
    /// Its tag.
    pub tag: Option<String>,
    /// When it began.
    pub created: Option<SystemTime>,
    /// Whether it is archived: `Some(false)` if it was, and was brought back or prompted since. `None` if it never was,
    /// and in a store, which does not hold the mark.
    pub archived: Option<bool>,
}

impl SessionInfo {
    /// `None` for subagents' transcripts and for those with nothing to show.
    pub(crate) fn of(session_id: Uuid, excerpt: &Excerpt) -> Option<Self> {
        let (head, last) = (&excerpt.head, excerpt.last());
        if is_sidechain(head.lines.first().or(head.cut.as_ref())?) {
            return None;
        }
        let ends = |key| match &excerpt.tail {
            Some(tail) => fields::last(tail, key, false).or_else(|| fields::last(head, key, true)),
            None => fields::last(head, key, true),
        };
        let at_end = |key| fields::last(last, key, excerpt.tail.is_none());
        let title = ends("customTitle").or_else(|| ends("aiTitle"));
        let first_prompt = FirstPrompt::in_head(head);
        let summary = title.clone();
        let summary = summary.or_else(|| at_end("lastPrompt")).or_else(|| at_end("summary"));
        let tag = fields::last_of_type(last, "tag").or_else(|| fields::last_of_type(head, "tag"));
        Some(Self {
            session_id,
            summary: summary.or_else(|| first_prompt.clone())?,
            modified: excerpt.modified,
            bytes: Some(excerpt.bytes),
            title,
            first_prompt,
            git_branch: at_end("gitBranch").or_else(|| fields::first(head, "gitBranch")),
            cwd: fields::first(head, "cwd").map(PathBuf::from),
            tag: tag.and_then(|entry| tag_of(&entry)),
            created: fields::first(head, "timestamp").and_then(|at| humantime::parse_rfc3339(&at).ok()),
            archived: None,
        })
    }
}

/// An empty tag means that it was taken away.
fn tag_of(entry: &Value) -> Option<String> {
    entry["tag"].as_str().filter(|tag| !tag.is_empty()).map(str::to_owned)
}

fn is_sidechain(first_line: &str) -> bool {
    match serde_json::from_str::<Value>(first_line) {
        Ok(entry) => entry["isSidechain"] == true,
        Err(_) => mentions(first_line, "\"isSidechain\":true"),
    }
}
