//! Prompts: what a host says to an agent, and how it wants it treated.
//!
//! ```
//! use sdk_runtime::{Prompt, message::{Document, Image}};
//!
//! let plain = Prompt::from("what is in this picture?");
//! let rich = Prompt::text("compare the two")
//!     .with_block(Image::bytes("image/png", b"\x89PNG"))
//!     .with_block(Document::url("https://example.com/report.pdf").with_title("Report").with_citations());
//! let as_typed = Prompt::text("/not a command, @not a file").verbatim();
//! # let _ = (plain, rich, as_typed);
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::message::{
    Citations, Content, ContentBlock, Document, Encoded, Image, Location, Origin, Source, StoredFile, Text,
    shape::{Shape as _, words},
};

/// What to say to the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptContent {
    /// Plain text; one that begins with `/` is a command.
    Text(String),
    /// Messages API blocks, as a list.
    Blocks(Value),
}

words! {
    /// When a prompt has its turn, beside what runs and waits already.
    pub enum Priority {
        Now = "now",
        Next = "next",
        Later = "later",
    }
}

/// What to say to the agent, and how it is to be treated. `&str`, `String`, lists of blocks and
/// `PromptContent` are prompts too.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Prompt {
    id: Option<Uuid>,
    content: PromptContent,
    fields: Map<String, Value>,
}

impl Prompt {
    /// A prompt of text. Text that begins with `/` is a command, and `@file` names are expanded.
    pub fn text(text: impl Into<String>) -> Self {
        Self::from(PromptContent::Text(text.into()))
    }

    /// A prompt of blocks.
    pub fn blocks(blocks: impl IntoIterator<Item = ContentBlock>) -> Self {
        let blocks = blocks.into_iter().map(ContentBlock::into_value).collect();
        Self::from(PromptContent::Blocks(blocks))
    }

    /// Adds a block; the text so far becomes one.
    pub fn with_block(mut self, block: impl Into<ContentBlock>) -> Self {
        let mut blocks = match self.content {
            PromptContent::Text(text) => vec![json!({ "type": "text", "text": text })],
            PromptContent::Blocks(Value::Array(blocks)) => blocks,
            PromptContent::Blocks(other) => vec![other],
        };
        blocks.push(block.into().into_value());
        self.content = PromptContent::Blocks(Value::Array(blocks));
        self
    }

    /// Sends it under this id, which must be new to the session. It is the id in the transcript too.
    pub fn with_id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// The same, to be sent under a new id.
    pub(crate) fn without_id(mut self) -> Self {
        self.id = None;
        self
    }

    /// Delivers it as it is: no commands, no `@file` names. Right for text that somebody else wrote.
    pub fn verbatim(self) -> Self {
        self.with_field("client_composed", true)
    }

    /// Adds it to the conversation and does not ask the model. It ends at once, with `num_turns` zero.
    pub fn append_only(self) -> Self {
        self.with_field("shouldQuery", false)
    }

    /// When it has its turn.
    pub fn with_priority(self, priority: Priority) -> Self {
        self.with_field("priority", priority.write())
    }

    /// Who it comes from. The agent trusts nobody it is not told of.
    pub fn with_origin(self, origin: Origin) -> Self {
        self.with_field("origin", origin.write())
    }

    /// When it was written, RFC 3339.
    pub fn with_timestamp(self, timestamp: impl Into<String>) -> Self {
        self.with_field("timestamp", timestamp.into())
    }

    /// Any other field of the frame. `type`, `message` and `uuid` are this crate's own and stay.
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Its id, when it has one of its own.
    pub fn id(&self) -> Option<Uuid> {
        self.id
    }

    /// What it says.
    pub fn content(&self) -> &PromptContent {
        &self.content
    }

    /// The frame to write.
    pub(crate) fn into_frame(self, id: Uuid) -> Value {
        let mut frame = Map::from_iter([
            ("parent_tool_use_id".to_owned(), Value::Null),
            ("session_id".to_owned(), "".into()),
        ]);
        frame.extend(self.fields);
        let content = match self.content {
            PromptContent::Text(text) => Value::String(text),
            PromptContent::Blocks(blocks) => blocks,
        };
        frame.insert("type".into(), "user".into());
        frame.insert("message".into(), json!({ "role": "user", "content": content }));
        frame.insert("uuid".into(), id.to_string().into());
        Value::Object(frame)
    }

    /// The prompt of a `user` frame, without its id. Fields that are the same in every frame are left out.
    pub(crate) fn from_frame(frame: &Value) -> Self {
        let content = match &frame["message"]["content"] {
            Value::String(text) => PromptContent::Text(text.clone()),
            blocks => PromptContent::Blocks(blocks.clone()),
        };
        let usual = ["type", "message", "uuid", "parent_tool_use_id", "session_id"];
        let mut fields = frame.as_object().cloned().unwrap_or_default();
        fields.retain(|name, _| !usual.contains(&name.as_str()));
        Self { id: None, content, fields }
    }
}

impl From<PromptContent> for Prompt {
    fn from(content: PromptContent) -> Self {
        Self { id: None, content, fields: Map::new() }
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&String> for Prompt {
    fn from(text: &String) -> Self {
        Self::text(text)
    }
}

impl From<Vec<ContentBlock>> for Prompt {
    fn from(blocks: Vec<ContentBlock>) -> Self {
        Self::blocks(blocks)
    }
}

impl From<Content> for Prompt {
    fn from(content: Content) -> Self {
        match content {
            Content::Text(text) => Self::text(text),
            Content::Blocks(blocks) => Self::blocks(blocks),
        }
    }
}

impl From<&str> for ContentBlock {
    fn from(text: &str) -> Self {
        Self::Text(Text { text: text.to_owned(), citations: Vec::new(), extra: Map::new() })
    }
}

impl From<Image> for ContentBlock {
    fn from(image: Image) -> Self {
        Self::Image(image)
    }
}

impl From<Document> for ContentBlock {
    fn from(document: Document) -> Self {
        Self::Document(document)
    }
}

impl Source {
    /// Bytes, which travel inside the block.
    pub fn bytes(media_type: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self::base64(media_type, STANDARD.encode(bytes))
    }

    /// Bytes that are base64 already.
    pub fn base64(media_type: &str, data: impl Into<String>) -> Self {
        let (media_type, data) = (media_type.to_owned(), data.into());
        Self::Base64(Encoded { media_type, data, extra: Map::new() })
    }

    /// An address, which the API fetches.
    pub fn url(url: impl Into<String>) -> Self {
        Self::Url(Location { url: url.into(), extra: Map::new() })
    }

    /// A file in the API's store.
    pub fn file(file_id: impl Into<String>) -> Self {
        Self::File(StoredFile { file_id: file_id.into(), extra: Map::new() })
    }
}

impl Image {
    /// A picture from anywhere.
    pub fn new(source: Source) -> Self {
        Self { source, extra: Map::new() }
    }

    /// A picture from memory. `media_type` is `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    pub fn bytes(media_type: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self::new(Source::bytes(media_type, bytes))
    }

    /// A picture from memory that is base64 already.
    pub fn base64(media_type: &str, data: impl Into<String>) -> Self {
        Self::new(Source::base64(media_type, data))
    }

    /// A picture the API fetches.
    pub fn url(url: impl Into<String>) -> Self {
        Self::new(Source::url(url))
    }
}

impl Document {
    /// A document from anywhere.
    pub fn new(source: Source) -> Self {
        Self { source, title: None, context: None, citations: None, extra: Map::new() }
    }

    /// A document from memory, such as `application/pdf`.
    pub fn bytes(media_type: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self::new(Source::bytes(media_type, bytes))
    }

    /// A document from memory that is base64 already.
    pub fn base64(media_type: &str, data: impl Into<String>) -> Self {
        Self::new(Source::base64(media_type, data))
    }

    /// A document the API fetches.
    pub fn url(url: impl Into<String>) -> Self {
        Self::new(Source::url(url))
    }

    /// A document of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        let media_type = "text/plain".to_owned();
        Self::new(Source::Text(Encoded { media_type, data: text.into(), extra: Map::new() }))
    }

    /// Its title, which the model sees.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// What the model should know about it and not cite.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Has the model cite it.
    #[must_use]
    pub fn with_citations(mut self) -> Self {
        self.citations = Some(Citations { enabled: true, extra: Map::new() });
        self
    }
}
