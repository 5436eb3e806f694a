//! What hosts are told and what they answer, a line of JSON each.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What kind of runtime a host of ours has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One thread for everything, which is also what asyncio has.
    One,
    /// One for each core, which is what `#[tokio::main]` makes.
    Many,
}

impl Threads {
    /// Its name, by which a host is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one-thread",
            Self::Many => "threads",
        }
    }
}

/// What a host is asked to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Order {
    /// Open sessions, all at once, each with a turn of this prompt.
    Open { sessions: Vec<Session>, prompt: String },
    /// A turn of the first session.
    Turn { prompt: String },
    /// The same, with messages as types rather than as they came. Ours only.
    TypedTurn { prompt: String },
    /// Start a turn of the first session, read nothing until `unread` messages wait, and interrupt.
    Interrupt { prompt: String, unread: usize, patience_seconds: f64 },
}

/// A session to open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    pub cli: PathBuf,
    pub cwd: PathBuf,
    pub env: BTreeMap<String, String>,
    pub model: String,
    pub tools: Vec<String>,
    pub system_prompt: String,
    /// With a permission callback, a hook before each Write, and an MCP server `calc` inside the host.
    pub has_seams: bool,
    pub has_partials: bool,
}

/// What a host found out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// How long it took; missing when it was given up.
    pub seconds: Option<f64>,
    /// Processor time of the host meanwhile.
    pub cpu_seconds: f64,
    /// Partial messages that came.
    pub partials: usize,
    pub problem: Option<String>,
}
