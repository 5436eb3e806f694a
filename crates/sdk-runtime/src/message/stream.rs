//! Stream events: what the model writes while it writes it.

use serde_json::Value;
use uuid::Uuid;

use super::{
    blocks::ContentBlock,
    chat::ApiMessage,
    shape::{frame, shape, tagged},
    usage::Usage,
};

frame! {
    /// One event of the Messages API stream, with partial messages on.
    pub struct StreamMessage {
        /// The event.
        event: StreamEvent = "event",
        /// Set when it belongs to a subagent.
        parent_tool_use_id: Option<String> = "parent_tool_use_id",
        /// Milliseconds to the first token, on the first event of a response.
        ttft_ms: Option<u64> = "ttft_ms",
        /// Id of the API message.
        api_message_id: Option<String> = "api_message_id",
        /// The prompts this answers, on the first event of a turn.
        prompts: Vec<Uuid> = "user_message_uuids",
    }
}

tagged! {
    /// An event of the Messages API stream.
    pub enum StreamEvent by "type" {
        /// A response begins.
        MessageStart(Box<MessageStart>) = "message_start",
        /// A block begins.
        BlockStart(BlockStart) = "content_block_start",
        /// A block grows.
        BlockDelta(BlockDelta) = "content_block_delta",
        /// A block is complete. Its `assistant` frame came just before.
        BlockStop(BlockStop) = "content_block_stop",
        /// The response's stop reason and usage are known.
        MessageDelta(Box<MessageDelta>) = "message_delta",
        /// The response is complete.
        MessageStop(Bare) = "message_stop",
        /// Nothing.
        Ping(Bare) = "ping",
        /// The API failed inside the stream.
        Error(StreamError) = "error",
    } else StreamEvent::Other
}

tagged! {
    /// What a block grows by.
    pub enum Delta by "type" {
        /// Text.
        Text(TextDelta) = "text_delta",
        /// Thoughts.
        Thinking(ThinkingDelta) = "thinking_delta",
        /// A piece of the JSON of a tool's input.
        InputJson(InputJsonDelta) = "input_json_delta",
        /// The signature of the thoughts.
        Signature(SignatureDelta) = "signature_delta",
        /// A citation.
        Citations(CitationsDelta) = "citations_delta",
    } else Delta::Other
}

shape! {
    /// A response begins.
    pub struct MessageStart {
        /// The message, still without content.
        message: ApiMessage = "message",
    }
}

shape! {
    /// A block begins.
    pub struct BlockStart {
        /// Its place in the message.
        index: u64 = "index",
        /// The block, still empty.
        content_block: ContentBlock = "content_block",
    }
}

shape! {
    /// A block grows.
    pub struct BlockDelta {
        /// Its place in the message.
        index: u64 = "index",
        /// What it grows by.
        delta: Delta = "delta",
    }
}

shape! {
    /// A block is complete.
    pub struct BlockStop {
        /// Its place in the message.
        index: u64 = "index",
    }
}

shape! {
    /// The end of a response is known.
    pub struct MessageDelta {
        /// What changed.
        delta: StopDelta = "delta",
        /// Tokens, final now.
        usage: Option<Usage> = "usage",
    }
}

shape! {
    /// Why a response ended.
    pub struct StopDelta {
        /// `end_turn`, `tool_use`, `max_tokens`, …
        stop_reason: Option<String> = "stop_reason",
        /// The stop sequence that was met.
        stop_sequence: Option<String> = "stop_sequence",
    }
}

shape! {
    /// An event that says no more than its kind.
    pub struct Bare {
        /// Numbers a gateway adds.
        metrics: Option<Value> = "amazon-bedrock-invocationMetrics",
    }
}

shape! {
    /// A failure inside the stream.
    pub struct StreamError {
        /// What the API said.
        error: Value = "error",
    }
}

shape! {
    /// Text.
    pub struct TextDelta {
        /// The text.
        text: String = "text",
    }
}

shape! {
    /// Thoughts.
    pub struct ThinkingDelta {
        /// The text.
        thinking: String = "thinking",
    }
}

shape! {
    /// A piece of the JSON of a tool's input.
    pub struct InputJsonDelta {
        /// The piece; it is JSON only together with the others.
        partial_json: String = "partial_json",
    }
}

shape! {
    /// The signature of the thoughts.
    pub struct SignatureDelta {
        /// The signature.
        signature: String = "signature",
    }
}

shape! {
    /// A citation.
    pub struct CitationsDelta {
        /// The citation.
        citation: Value = "citation",
    }
}

impl StreamMessage {
    /// The text of a text delta.
    pub fn text(&self) -> Option<&str> {
        match &self.event {
            StreamEvent::BlockDelta(BlockDelta { delta: Delta::Text(delta), .. }) => Some(&delta.text),
            _ => None,
        }
    }

    /// The text of a thinking delta.
    pub fn thinking(&self) -> Option<&str> {
        match &self.event {
            StreamEvent::BlockDelta(BlockDelta { delta: Delta::Thinking(delta), .. }) => {
                Some(&delta.thinking)
            }
            _ => None,
        }
    }
}
