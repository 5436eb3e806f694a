//! What the demo service talks about; nothing here knows paperclip.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use validator::Validate;

/// Names a thing.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct ThingId(pub(crate) Uuid);

/// How bright it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shade {
    Light,
    Dark,
}

/// One piece of content.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Block {
    /// Words.
    Text { text: String },
    /// A picture.
    Image { url: String },
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Label {
    #[validate(length(min = 1, max = 8))]
    pub(crate) key: String,
    /// Left out means empty, so the two directions differ.
    #[serde(default)]
    pub(crate) value: String,
}

/// What to make.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewThing {
    /// Shown in lists.
    #[validate(length(min = 1, max = 10))]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) blocks: Vec<Block>,
    #[serde(default)]
    #[validate(nested)]
    pub(crate) labels: Vec<Label>,
    #[validate(range(min = 0, max = 9))]
    #[serde(default)]
    pub(crate) weight: i32,
    pub(crate) shade: Option<Shade>,
    #[validate(length(min = 1))]
    pub(crate) r#type: Option<String>,
}

/// A thing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Thing {
    pub(crate) id: ThingId,
    pub(crate) name: String,
    pub(crate) shade: Option<Shade>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) labels: Vec<Label>,
}

/// One page of a collection.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Pass as `cursor` for the next page.
    pub(crate) next_cursor: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListThings {
    /// Page size.
    #[validate(range(min = 1, max = 100))]
    #[serde(default = "fifty")]
    pub(crate) limit: u32,
    pub(crate) shade: Option<Shade>,
    /// After this thing.
    pub(crate) after: Option<Uuid>,
    #[serde(default)]
    pub(crate) tag: Vec<String>,
}

fn fifty() -> u32 {
    50
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Interrupt {
    /// For the record.
    #[validate(length(max = 5))]
    pub(crate) reason: Option<String>,
}

/// How the demo should answer.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Manner {
    Waiting,
    Later,
    Streaming,
    Missing,
    Conflicting,
}

#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    pub(crate) manner: Manner,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    pub(crate) text: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Receipt {
    pub(crate) turn: u32,
}

/// What happens while a thing answers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Happening {
    Block { block: Block },
    Finished,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema matters: the demo reads no frame")]
pub(crate) enum Say {
    Question { text: String },
    Stop,
}
