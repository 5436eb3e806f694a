//! Content blocks: what the model writes, what tools return, and what a prompt is made of.

use serde_json::Value;

use super::shape::{Shape, shape, tagged};

tagged! {
    /// One block of content, of the model, of a tool result or of a prompt.
    pub enum ContentBlock by "type" {
        /// Text.
        Text(Text) = "text",
        /// What the model thought before it spoke.
        Thinking(Thinking) = "thinking",
        /// Thoughts that are encrypted.
        RedactedThinking(RedactedThinking) = "redacted_thinking",
        /// The model calls a tool of the agent.
        ToolUse(ToolUse) = "tool_use",
        /// The model calls a tool that runs inside the API.
        ServerToolUse(ToolUse) = "server_tool_use",
        /// The model calls a tool of an MCP server that the API connects to.
        McpToolUse(ToolUse) = "mcp_tool_use",
        /// The result of a tool of the agent.
        ToolResult(ToolResult) = "tool_result",
        /// A picture.
        Image(Image) = "image",
        /// A document.
        Document(Document) = "document",
        /// The result of a tool that ran inside the API: `web_search_tool_result`, …
        ServerToolResult(ServerToolResult) = "*_tool_result",
    } else server_result
}

shape! {
    /// Text.
    pub struct Text {
        /// The text.
        text: String = "text",
        /// Where it is taken from, as the API lists it.
        citations: Vec<Value> = "citations",
    }
}

shape! {
    /// Thoughts of the model.
    pub struct Thinking {
        /// The text; empty when it is not shown.
        thinking: String = "thinking",
        /// Proof that the model thought it.
        signature: Option<String> = "signature",
    }
}

shape! {
    /// Encrypted thoughts.
    pub struct RedactedThinking {
        /// The cipher text.
        data: String = "data",
    }
}

shape! {
    /// A tool call.
    pub struct ToolUse {
        /// Its id, which its result names.
        id: String = "id",
        /// The tool.
        name: String = "name",
        /// Its input.
        input: Value = "input",
        /// The MCP server, for calls the API makes.
        server_name: Option<String> = "server_name",
    }
}

shape! {
    /// What a tool of the agent returned.
    pub struct ToolResult {
        /// The call.
        tool_use_id: String = "tool_use_id",
        /// What the model reads; some tools return nothing.
        content: Option<Content> = "content",
        /// Whether the tool failed or did not run.
        is_error: bool = "is_error",
    }
}

shape! {
    /// What a tool inside the API returned.
    pub struct ServerToolResult {
        /// Which one, such as `web_search_tool_result`; the set is open.
        kind: String = "type",
        /// The call.
        tool_use_id: String = "tool_use_id",
        /// What it returned; the shape is the tool's own.
        content: Value = "content",
    }
}

shape! {
    /// A picture.
    pub struct Image {
        /// Where it is.
        source: Source = "source",
    }
}

shape! {
    /// A document.
    pub struct Document {
        /// Where it is.
        source: Source = "source",
        /// Its title, which the model sees.
        title: Option<String> = "title",
        /// What the model should know about it and not cite.
        context: Option<String> = "context",
        /// Whether the model cites it.
        citations: Option<Citations> = "citations",
    }
}

shape! {
    /// Whether a document is cited.
    pub struct Citations {
        /// Yes or no.
        enabled: bool = "enabled",
    }
}

tagged! {
    /// Where a picture or a document is.
    pub enum Source by "type" {
        /// In the block itself.
        Base64(Encoded) = "base64",
        /// On the network, where the API fetches it.
        Url(Location) = "url",
        /// In the block, as plain text.
        Text(Encoded) = "text",
        /// In the file store of the API.
        File(StoredFile) = "file",
    } else Source::Other
}

shape! {
    /// Data inside a block.
    pub struct Encoded {
        /// Its media type, such as `image/png`.
        media_type: String = "media_type",
        /// Base64, or the text of a plain text document.
        data: String = "data",
    }
}

shape! {
    /// An address.
    pub struct Location {
        /// The address.
        url: String = "url",
    }
}

shape! {
    /// A file that was uploaded to the API.
    pub struct StoredFile {
        /// Its id there.
        file_id: String = "file_id",
    }
}

/// The content of a message or of a tool result.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Blocks.
    Blocks(Vec<ContentBlock>),
}

impl Content {
    /// The blocks; plain text has none.
    pub fn blocks(&self) -> &[ContentBlock] {
        match self {
            Self::Text(_) => &[],
            Self::Blocks(blocks) => blocks,
        }
    }

    /// All the text in it, one block after another.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Blocks(blocks) => blocks.iter().filter_map(ContentBlock::as_text).collect(),
        }
    }
}

impl ContentBlock {
    /// Reads a block; what is not known is kept.
    pub fn read(value: Value) -> Self {
        Self::read_tagged(value)
    }

    /// The block as JSON.
    pub fn into_value(self) -> Value {
        Shape::write(self)
    }

    /// The text of a text block.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// The call of a `tool_use` block.
    pub fn as_tool_use(&self) -> Option<&ToolUse> {
        match self {
            Self::ToolUse(call) => Some(call),
            _ => None,
        }
    }

    /// The result of a `tool_result` block.
    pub fn as_tool_result(&self) -> Option<&ToolResult> {
        match self {
            Self::ToolResult(result) => Some(result),
            _ => None,
        }
    }
}

/// Results of tools inside the API have a type of their own each, and all the same shape.
fn server_result(value: Value) -> ContentBlock {
    let is_result = value["type"].as_str().is_some_and(|kind| kind.ends_with("_tool_result"));
    if !is_result {
        return ContentBlock::Other(value);
    }
    match ServerToolResult::read(value) {
        Ok(result) => ContentBlock::ServerToolResult(result),
        Err(value) => ContentBlock::Other(value),
    }
}

impl Shape for Content {
    fn fits(value: &Value) -> bool {
        value.is_string() || value.is_array()
    }

    fn read(value: Value) -> Result<Self, Value> {
        match value {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Array(blocks) => Ok(Self::Blocks(blocks.into_iter().map(ContentBlock::read).collect())),
            other => Err(other),
        }
    }

    fn write(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text),
            Self::Blocks(blocks) => blocks.into_iter().map(ContentBlock::into_value).collect(),
        }
    }
}
