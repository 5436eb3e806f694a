//! A tool call as policies see it.

use domain::{Generation, SessionId, UserId};
use serde_json::Value;
use std::path::PathBuf;

/// A tool call that is about to run.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    pub tool_name: String,
    pub input: Value,
    pub tool_use_id: Option<String>,
    /// Set when a subagent calls.
    pub agent_id: Option<String>,
    /// The agent's working directory now; a command may have changed it since the session began.
    pub cwd: PathBuf,
    /// The permission mode now.
    pub permission_mode: Option<String>,
}

/// Where and for whom an agent works; the same for all its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    pub session_id: SessionId,
    pub user_id: UserId,
    /// In which the agent was taken up; nothing it does counts in a later one.
    pub generation: Generation,
    pub working_directory: PathBuf,
    /// Further directories it may write in.
    pub add_dirs: Vec<PathBuf>,
    /// What `~` is for the agent.
    pub home: PathBuf,
    /// Its private folder for temporary files, in which it may write.
    pub temporary: PathBuf,
}
