//! What the usage fields of an answer say, whole or event by event.

mod sampling;

pub use sampling::{Sampling, SamplingKind};

use domain::TokenUsage;
use sampling::Samplings;
use serde::Deserialize;

use crate::limits::{TOOL_NAME_BYTES_MAX, TOOLS_PER_ANSWER_MAX};

/// Everything in an answer that its price depends on, as far as it has been seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The model that answered.
    pub model: Option<String>,
    /// Tokens so far; the API counts up, it does not add. Without those of passes that only [`samplings`] has.
    ///
    /// [`samplings`]: Self::samplings
    pub tokens: TokenUsage,
    /// The passes that the answer took, as far as they were told.
    pub samplings: Vec<Sampling>,
    /// Web searches that the API ran itself.
    pub web_searches: u64,
    /// The speed class of the answer.
    pub speed: Speed,
    /// Whether inference was kept in the US, which costs more.
    pub in_us: bool,
    /// Why the model stopped.
    pub stop_reason: Option<String>,
    /// Whether the answer was seen to its end, so that nothing can be missing.
    pub is_complete: bool,
    /// Of the output tokens, those that were thinking, if that was told.
    pub thinking_tokens: Option<u64>,
    /// Names of the tools that were called, each once, in the order of their first call.
    pub tools: Vec<String>,
    /// Whether the use of input was told.
    pub tells_input: bool,
    /// Whether the use of output was told for the whole answer.
    pub tells_output: bool,
}

/// Speed class of an answer; each has prices of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Speed {
    #[default]
    Standard,
    Fast,
}

impl Reading {
    /// Reads the answer to a request that did not ask for a stream.
    pub(crate) fn of_message(body: &[u8]) -> serde_json::Result<Self> {
        let message: Message = serde_json::from_slice(body)?;
        let tells_output = message.usage.as_ref().is_some_and(|usage| usage.output_tokens.is_some());
        let mut reading = Self { tells_output, is_complete: true, ..Self::default() };
        reading.start(message);
        Ok(reading)
    }

    pub(crate) fn start(&mut self, message: Message) {
        self.model = message.model;
        self.stop_reason = message.stop_reason;
        self.take(message.usage.unwrap_or_default());
        message.content.into_iter().flatten().for_each(|block| self.block(block));
    }

    /// A content block has begun.
    pub(crate) fn block(&mut self, block: ContentBlock) {
        let called = block.name.filter(|_| block.kind.is_call());
        if let Some(name) = called
            && name.len() <= TOOL_NAME_BYTES_MAX
            && self.tools.len() < TOOLS_PER_ANSWER_MAX
            && !self.tools.contains(&name)
        {
            self.tools.push(name);
        }
    }

    pub(crate) fn update(&mut self, event: MessageDelta) {
        if let Some(reason) = event.delta.and_then(|delta| delta.stop_reason) {
            self.stop_reason = Some(reason);
        }
        let usage = event.usage.unwrap_or_default();
        self.tells_output |= usage.output_tokens.is_some();
        self.take(usage);
    }

    /// Takes over what is there: counts are totals so far, and one that is missing or zero has not changed.
    fn take(&mut self, usage: Usage) {
        if let Some(Samplings(told)) = usage.iterations
            && !told.is_empty()
        {
            if let Some(served) = told.iter().rfind(|sampling| sampling.kind == SamplingKind::FallbackMessage)
            {
                // What was counted until now was of an attempt that was declined, which is among the passes too.
                self.tokens = TokenUsage::default();
                self.model = served.model.clone().or(self.model.take());
            }
            self.samplings = told;
        }
        let newer = |count: Option<u64>, old: u64| count.filter(|count| *count > 0).unwrap_or(old);
        self.tokens.input = newer(usage.input_tokens, self.tokens.input);
        self.tokens.output = newer(usage.output_tokens, self.tokens.output);
        self.tokens.cache_read = newer(usage.cache_read_input_tokens, self.tokens.cache_read);
        self.tokens = CacheCreation::put_into(
            self.tokens,
            usage.cache_creation_input_tokens,
            usage.cache_creation.as_ref(),
        );
        let searches = usage.server_tool_use.as_ref().and_then(|used| used.web_search_requests);
        self.web_searches = newer(searches, self.web_searches);
        self.tells_input |= usage.input_tokens.is_some();
        if let Some(thinking) = usage.output_tokens_details.as_ref().and_then(|told| told.thinking_tokens) {
            self.thinking_tokens = Some(thinking);
        }
        if usage.speed.as_deref() == Some("fast") {
            self.speed = Speed::Fast;
        }
        if usage.inference_geo.as_deref() == Some("us") {
            self.in_us = true;
        }
    }
}

/// The message of an answer, or of `message_start`.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    model: Option<String>,
    stop_reason: Option<String>,
    usage: Option<Usage>,
    content: Option<Vec<ContentBlock>>,
}

/// What is read of a content block, whole or of its beginning.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ContentBlock {
    #[serde(rename = "type")]
    pub(crate) kind: BlockKind,
    name: Option<String>,
}

/// The kinds of content that matter here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BlockKind {
    ToolUse,
    ServerToolUse,
    McpToolUse,
    Thinking,
    RedactedThinking,
    #[default]
    #[serde(other)]
    Other,
}

impl BlockKind {
    fn is_call(self) -> bool {
        matches!(self, Self::ToolUse | Self::ServerToolUse | Self::McpToolUse)
    }

    pub(crate) fn is_thinking(self) -> bool {
        matches!(self, Self::Thinking | Self::RedactedThinking)
    }
}

/// The data of `content_block_start`.
#[derive(Debug, Deserialize)]
pub(crate) struct BlockStart {
    pub(crate) content_block: ContentBlock,
}

/// The data of `message_start`.
#[derive(Debug, Deserialize)]
pub(crate) struct MessageStart {
    pub(crate) message: Message,
}

/// The data of `message_delta`.
#[derive(Debug, Deserialize)]
pub(crate) struct MessageDelta {
    delta: Option<Delta>,
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct Delta {
    stop_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    server_tool_use: Option<ServerToolUse>,
    speed: Option<String>,
    inference_geo: Option<String>,
    output_tokens_details: Option<OutputDetails>,
    iterations: Option<Samplings>,
}

/// Tokens written to the cache, by how long they stay.
#[derive(Debug, Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

impl CacheCreation {
    /// Takes over the tokens written to the cache, if any are told.
    ///
    /// Lifetimes stay as they were told last. What the total has beyond them counts as five minutes, the lifetime that
    /// needs not be asked for.
    fn put_into(before: TokenUsage, total: Option<u64>, parts: Option<&Self>) -> TokenUsage {
        let told = |count: Option<u64>| count.unwrap_or(0);
        let parts = parts
            .map(|parts| (told(parts.ephemeral_5m_input_tokens), told(parts.ephemeral_1h_input_tokens)))
            .filter(|parts| *parts != (0, 0));
        let (listed, cache_write_1h) = parts.unwrap_or((before.cache_write_5m, before.cache_write_1h));
        let cache_write_5m = listed.max(told(total).saturating_sub(cache_write_1h));
        TokenUsage { cache_write_5m, cache_write_1h, ..before }
    }
}

#[derive(Debug, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct ServerToolUse {
    web_search_requests: Option<u64>,
}
