//! Limits: every queue, wait and size of this crate, by name.

use std::time::Duration;

/// Bounds of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest line read from the agent; a longer one is skipped. A line holds a whole tool result.
    pub line_bytes_max: usize,
    /// Lines that may lie unread by the host, in bytes; as much again in `Background`, which is bounded by itself.
    pub event_bytes_max: usize,
    /// Lines that may wait for the agent to read its stdin; whoever has one more waits.
    pub write_queue_max: usize,
    /// Requests of the agent that may be open at once.
    pub requests_max: usize,
    /// Ids of prompts that are remembered to refuse a second use.
    pub prompt_ids_max: usize,
    /// Wait for the answer to `initialize`.
    pub initialize_timeout: Duration,
    /// Wait for the answer to any other control request.
    pub control_timeout: Duration,
    /// Wait for a gate; `None` waits as long as the agent does. Permissions are given by people.
    pub gate_timeout: Option<Duration>,
    /// Wait for in-process MCP servers to introduce themselves before `initialize` is sent. The agent asks
    /// those that take longer itself, which costs its first turn some round trips.
    pub mcp_manifest_timeout: Duration,
    /// How long a one-shot query waits for background work after its result.
    pub background_wait: Duration,
    /// Between closing stdin and SIGTERM.
    pub close_grace: Duration,
    /// Between SIGTERM and SIGKILL.
    pub term_grace: Duration,
    /// Bound of killing what the agent left behind.
    pub sweep_timeout: Duration,
    /// Between the end of the process and giving up on the rest of its output.
    pub drain_timeout: Duration,
    /// How much of the end of stderr is kept.
    pub stderr_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes_max: 64 << 20,
            event_bytes_max: 256 << 20,
            write_queue_max: 64,
            requests_max: 1024,
            prompt_ids_max: 65_536,
            initialize_timeout: Duration::from_secs(60),
            control_timeout: Duration::from_secs(60),
            gate_timeout: None,
            mcp_manifest_timeout: Duration::from_millis(250),
            background_wait: Duration::from_secs(600),
            close_grace: Duration::from_secs(5),
            term_grace: Duration::from_secs(5),
            sweep_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(2),
            stderr_bytes_max: 64 << 10,
        }
    }
}
