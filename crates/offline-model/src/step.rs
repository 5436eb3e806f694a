//! One step of a script: the content of an answer and how it is to be sent.

use std::num::NonZeroU32;

use http::{HeaderName, HeaderValue};
use serde_json::Value;

/// Most bytes that one `[[big]]`, `[[words]]` or `[[deltas]]` may ask for.
pub const MAX_GENERATED_BYTES: usize = 256 * 1024 * 1024;

/// Why a directive was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the directive [[{directive}]]: {problem}")]
pub struct DirectiveError {
    /// Name of the directive.
    pub directive: String,
    /// What is wrong with its argument.
    pub problem: String,
}

/// One content block of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Block {
    Text(String),
    Thinking(String),
    /// Left out of the answer when the tool is `wanted` only if offered and the request does not offer it.
    ToolUse {
        name: String,
        input: Value,
        wanted: Wanted,
    },
    Recall,
    Endless,
    /// So many deltas that each tell when they were sent.
    Clock(u64),
}

/// When a tool call of a script is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    IfOffered,
    Always,
}

/// An HTTP error instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: http::StatusCode,
    /// Calls that fail before the step is answered; `None` fails each.
    pub(crate) times: Option<u64>,
    /// Value of the `retry-after` header, in seconds.
    pub(crate) retry_after: Option<String>,
}

/// Token counts that a step sets; the others are reckoned from the sizes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) cache_read: u64,
    pub(crate) cache_write_5m: u64,
    pub(crate) cache_write_1h: u64,
    pub(crate) web_searches: u64,
    /// Of the output.
    pub(crate) thinking: Option<u64>,
}

/// A pass of a model that the usage lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Iteration {
    pub(crate) kind: String,
    pub(crate) model: Option<String>,
    pub(crate) tokens: Tokens,
}

/// One answer as the prompt asks for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Step {
    pub(crate) blocks: Vec<Block>,
    pub(crate) delay_ms: u64,
    pub(crate) first_ms: u64,
    pub(crate) chunk_delay_ms: u64,
    /// Deltas between two of those waits; 1 unless told.
    pub(crate) burst: Option<NonZeroU32>,
    pub(crate) chunk_chars: Option<usize>,
    pub(crate) hang: bool,
    /// Deltas after which the connection is dropped.
    pub(crate) cut_after: Option<u64>,
    pub(crate) tokens: Tokens,
    pub(crate) iterations: Vec<Iteration>,
    /// Whether the answer does not tell what it used.
    pub(crate) hides_usage: bool,
    /// Speed class that the usage names.
    pub(crate) speed: Option<String>,
    pub(crate) stop: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) fault: Option<Fault>,
    pub(crate) sse_error: Option<String>,
}

impl Step {
    /// A step that says one text.
    pub(crate) fn text(text: String) -> Self {
        Self { blocks: vec![Block::Text(text)], ..Self::default() }
    }
}
