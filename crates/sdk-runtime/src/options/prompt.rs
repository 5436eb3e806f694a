//! The system prompt in its forms.

use std::path::PathBuf;

/// Between blocks of a system prompt: what stands before it is cached for all sessions.
pub const SYSTEM_PROMPT_DYNAMIC_BOUNDARY: &str = "__SYSTEM_PROMPT_DYNAMIC_BOUNDARY__";

/// The system prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemPrompt {
    /// None at all.
    Empty,
    /// This text alone.
    Text(String),
    /// These blocks alone; `SYSTEM_PROMPT_DYNAMIC_BOUNDARY` may stand between them once.
    Blocks(Vec<String>),
    /// The text of this file alone.
    File(PathBuf),
    /// The CLI's own.
    ClaudeCode {
        /// Text to add at its end.
        append: Option<String>,
    },
}
