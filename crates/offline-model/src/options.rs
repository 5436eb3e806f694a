//! What can be set when the offline model is started.

use std::time::Duration;

/// Settings of a [`crate::Server`]; the default is what tests want.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Wait before each answer, on top of what a step asks for.
    pub delay: Duration,
    /// Wait after each delta, unless a step asks for its own.
    pub chunk_delay: Duration,
    /// Characters per delta, unless a step asks for its own.
    pub chunk_chars: usize,
    /// Input tokens to report, unless a step says; `None` is a quarter of the body's bytes.
    pub input_tokens: Option<u64>,
    /// Answer to prompts without directives; `None` repeats the prompt.
    pub default_text: Option<String>,
    /// Answer once the steps of a prompt have run out.
    pub final_text: String,
    /// Requests kept for [`crate::Server::requests`]; the oldest go first.
    pub kept_requests: usize,
    /// Bytes of request bodies kept for [`crate::Server::requests`]; the oldest go first.
    pub kept_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            delay: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            chunk_chars: 20,
            input_tokens: None,
            default_text: None,
            final_text: "Done.".to_owned(),
            kept_requests: 2_000,
            kept_bytes: 256 * 1024 * 1024,
        }
    }
}
