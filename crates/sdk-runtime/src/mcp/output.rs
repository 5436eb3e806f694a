//! What a tool gives back: content for the model, or the reason why there is none.

use std::{error::Error, fmt};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rmcp::model::CallToolResult;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The result of a call: content blocks, and optionally one structured value. The agent shows the model the
/// structured value **in place of** the blocks when there is one. A structured value that is not a JSON object
/// is sent as text, because the agent takes no other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolOutput {
    content: Vec<Value>,
    structured: Option<Value>,
    meta: Map<String, Value>,
    is_error: bool,
}

/// A structured value of a Rust type, for handlers that return nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structured<T>(pub T);

/// Why a call has no result. Any error turns into one by `?`, with its sources in the text.
///
/// It is not an error type itself, because it stands for all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolError(pub(super) Failure);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Failure {
    /// The model reads it as the tool's result with `isError`.
    Tool(Box<ToolOutput>),
    /// A JSON-RPC error.
    Protocol { code: i64, message: String },
}

impl ToolOutput {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new().with_text(text)
    }

    /// A structured value, with its JSON as text for those who read blocks only.
    pub fn structured(value: Value) -> Self {
        Self { structured: Some(value.clone()), ..Self::text(value.to_string()) }
    }

    /// One image; `mime_type` is for example `image/png`.
    pub fn image(bytes: impl AsRef<[u8]>, mime_type: impl Into<String>) -> Self {
        Self::new().with_image(bytes, mime_type)
    }

    /// Adds a text.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        self.with_block(json!({ "type": "text", "text": text.into() }))
    }

    /// Adds an image.
    #[must_use]
    pub fn with_image(self, bytes: impl AsRef<[u8]>, mime_type: impl Into<String>) -> Self {
        let data = BASE64_STANDARD.encode(bytes);
        self.with_block(json!({ "type": "image", "data": data, "mimeType": mime_type.into() }))
    }

    /// Adds a sound.
    #[must_use]
    pub fn with_audio(self, bytes: impl AsRef<[u8]>, mime_type: impl Into<String>) -> Self {
        let data = BASE64_STANDARD.encode(bytes);
        self.with_block(json!({ "type": "audio", "data": data, "mimeType": mime_type.into() }))
    }

    /// Adds the text of a resource.
    #[must_use]
    pub fn with_resource(self, uri: impl Into<String>, text: impl Into<String>) -> Self {
        let resource = json!({ "uri": uri.into(), "text": text.into() });
        self.with_block(json!({ "type": "resource", "resource": resource }))
    }

    /// Adds a reference to a resource.
    #[must_use]
    pub fn with_resource_link(self, uri: impl Into<String>, name: impl Into<String>) -> Self {
        self.with_block(json!({ "type": "resource_link", "uri": uri.into(), "name": name.into() }))
    }

    /// Adds a content block as MCP defines it.
    #[must_use]
    pub fn with_block(mut self, block: Value) -> Self {
        self.content.push(block);
        self
    }

    /// Sets the structured value and leaves the blocks as they are.
    #[must_use]
    pub fn with_structured(mut self, value: Value) -> Self {
        self.structured = Some(value);
        self
    }

    /// Sets one field of the result's `_meta`.
    #[must_use]
    pub fn with_meta(mut self, key: impl Into<String>, value: Value) -> Self {
        self.meta.insert(key.into(), value);
        self
    }

    /// The result as MCP defines it.
    pub(super) fn into_wire(mut self) -> Value {
        let structured = match self.structured.take() {
            // The agent takes nothing but an object there, and fails the call otherwise.
            Some(other) if !other.is_object() => {
                if self.content.is_empty() {
                    self = self.with_text(other.to_string());
                }
                None
            }
            structured => structured,
        };
        let mut wire = json!({ "content": self.content });
        if let Some(structured) = structured {
            wire["structuredContent"] = structured;
        }
        if self.is_error {
            wire["isError"] = true.into();
        }
        if !self.meta.is_empty() {
            wire["_meta"] = self.meta.into();
        }
        wire
    }
}

impl ToolError {
    /// The tool ran and failed. The model reads the text and can act on it.
    pub fn new(text: impl Into<String>) -> Self {
        Self::with_output(ToolOutput::text(text))
    }

    /// The tool ran and failed, and has more to say than a text.
    pub fn with_output(output: ToolOutput) -> Self {
        Self(Failure::Tool(Box::new(ToolOutput { is_error: true, ..output })))
    }

    /// The server cannot serve the call at all: a JSON-RPC error. The agent shows its message to the model.
    pub fn protocol(code: i64, message: impl Into<String>) -> Self {
        Self(Failure::Protocol { code, message: message.into() })
    }
}

impl<E: Error> From<E> for ToolError {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        Self::new(text)
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Failure::Tool(output) => {
                let texts = output.content.iter().filter_map(|block| block["text"].as_str());
                f.write_str(&texts.collect::<Vec<_>>().join("\n"))
            }
            Failure::Protocol { code, message } => write!(f, "{message} ({code})"),
        }
    }
}

impl From<()> for ToolOutput {
    fn from((): ()) -> Self {
        Self::new()
    }
}

impl From<String> for ToolOutput {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&str> for ToolOutput {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl<T: Serialize> From<Structured<T>> for ToolOutput {
    fn from(Structured(value): Structured<T>) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => Self::structured(value),
            Err(error) => Self {
                is_error: true,
                ..Self::text(format!("the result cannot be written as JSON: {error}"))
            },
        }
    }
}

impl From<CallToolResult> for ToolOutput {
    fn from(result: CallToolResult) -> Self {
        let blocks = result.content.iter().filter_map(|block| serde_json::to_value(block).ok());
        Self {
            content: blocks.collect(),
            structured: result.structured_content,
            is_error: result.is_error.unwrap_or_default(),
            meta: match serde_json::to_value(result.meta) {
                Ok(Value::Object(meta)) => meta,
                Ok(_) | Err(_) => Map::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_have_the_shape_of_mcp() {
        let output = ToolOutput::text("a").with_image([0, 255], "image/png").with_meta("k", json!(1));
        let wanted = json!({
            "content": [
                { "type": "text", "text": "a" },
                { "type": "image", "data": "AP8=", "mimeType": "image/png" },
            ],
            "_meta": { "k": 1 },
        });
        assert_eq!(output.into_wire(), wanted);
        let output = ToolOutput::from(Structured(json!({ "a": 1 }))).into_wire();
        assert_eq!(output["structuredContent"], json!({ "a": 1 }));
        assert_eq!(output["content"][0]["text"], r#"{"a":1}"#);
        for output in [Structured([1, 2]).into(), ToolOutput::new().with_structured(json!([1, 2]))] {
            let wanted = json!({ "content": [{ "type": "text", "text": "[1,2]" }] });
            assert_eq!(output.into_wire(), wanted);
        }
        let same = CallToolResult::error(vec![rmcp::model::ContentBlock::text("no")]);
        let wanted = json!({ "content": [{ "type": "text", "text": "no" }], "isError": true });
        assert_eq!(ToolOutput::from(same).into_wire(), wanted);
    }

    #[test]
    fn an_error_brings_its_sources_along() {
        #[derive(Debug, thiserror::Error)]
        #[error("read the ledger")]
        struct Outer(#[source] std::io::Error);
        let error = ToolError::from(Outer(std::io::Error::other("disk on fire")));
        assert_eq!(error.to_string(), "read the ledger: disk on fire");
    }
}
