//! What a person says to an agent: text, or blocks of text and images.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, fmt};
use validator::{Validate, ValidationError, ValidationErrors, ValidationErrorsKind};

/// Blocks in one prompt.
const BLOCKS_MAX: usize = 100;
/// Base64 as the document says it.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$";

/// A prompt, as the client sends it.
#[derive(Debug)]
pub enum Prompt {
    Text(String),
    Blocks(Vec<ContentBlock>),
}

/// One part of a prompt.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ContentBlock {
    Text {
        #[schemars(length(min = 1), regex(pattern = r"\S"))]
        text: String,
    },
    Image {
        #[serde(deserialize_with = "by_name")]
        source: ImageSource,
    },
}

/// Where an image is.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ImageSource {
    /// In the request itself.
    Base64 {
        media_type: ImageType,
        #[schemars(length(min = 4), regex(pattern = BASE64))]
        data: String,
    },
    /// On the web; the model's service fetches it.
    Url {
        #[schemars(extend("format" = "uri"), regex(pattern = "^https?://"))]
        url: String,
    },
}

/// The images the model can see.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub enum ImageType {
    #[serde(rename = "image/png")]
    Png,
    #[serde(rename = "image/jpeg")]
    Jpeg,
    #[serde(rename = "image/gif")]
    Gif,
    #[serde(rename = "image/webp")]
    Webp,
}

/// A source whose `type` is a word: inside of a block, which serde holds in memory until it knows the block's own type,
/// it would take the number of a variant as well.
fn by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ImageSource, D::Error> {
    ImageSource::deserialize(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

impl Prompt {
    /// The prompt as the engine takes it: text as a string, blocks as an array.
    pub fn into_value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text),
            Self::Blocks(blocks) => blocks.into_iter().map(ContentBlock::into_value).collect(),
        }
    }
}

impl ContentBlock {
    fn into_value(self) -> Value {
        match self {
            Self::Text { text } => serde_json::json!({ "type": "text", "text": text }),
            Self::Image { source: ImageSource::Url { url } } => {
                serde_json::json!({ "type": "image", "source": { "type": "url", "url": url } })
            }
            Self::Image { source: ImageSource::Base64 { media_type, data } } => {
                let source = serde_json::json!({ "type": "base64", "media_type": media_type, "data": data });
                serde_json::json!({ "type": "image", "source": source })
            }
        }
    }

    fn fault(&self) -> Option<(&'static str, ValidationError)> {
        match self {
            Self::Text { text } => is_blank(text).then(|| ("text", blank())),
            Self::Image { source: ImageSource::Base64 { data, .. } } => {
                let readable = !data.is_empty() && BASE64_STANDARD.decode(data).is_ok();
                (!readable).then(|| ("source", fault("base64", "data is not base64")))
            }
            Self::Image { source: ImageSource::Url { url } } => {
                let web = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
                (!web).then(|| ("source", fault("url", "url is not an http or https address")))
            }
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn blank() -> ValidationError {
    fault("blank", "must not be empty")
}

fn fault(code: &'static str, message: &'static str) -> ValidationError {
    ValidationError::new(code).with_message(message.into())
}

/// The name under which validation reports what concerns the whole value.
const WHOLE: &str = "__all__";

impl Validate for Prompt {
    fn validate(&self) -> Result<(), ValidationErrors> {
        let mut errors = ValidationErrors::new();
        match self {
            Self::Text(text) if is_blank(text) => errors.add(WHOLE, blank()),
            Self::Blocks(blocks) if !(1..=BLOCKS_MAX).contains(&blocks.len()) => {
                errors.add(WHOLE, fault("length", "must have 1 to 100 blocks"));
            }
            Self::Blocks(blocks) => {
                let faults = blocks.iter().enumerate().filter_map(|(index, block)| {
                    let (field, error) = block.fault()?;
                    let mut errors = ValidationErrors::new();
                    errors.add(field, error);
                    Some((index, Box::new(errors)))
                });
                let faults: BTreeMap<_, _> = faults.collect();
                if !faults.is_empty() {
                    errors.errors_mut().insert(Cow::Borrowed(WHOLE), ValidationErrorsKind::List(faults));
                }
            }
            Self::Text(_) => {}
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

// By hand, because serde's untagged enums forget where in the value the fault was.
impl<'de> Deserialize<'de> for Prompt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PromptVisitor)
    }
}

struct PromptVisitor;

impl<'de> Visitor<'de> for PromptVisitor {
    type Value = Prompt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or an array of content blocks")
    }

    fn visit_str<E>(self, text: &str) -> Result<Prompt, E> {
        Ok(Prompt::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Prompt, E> {
        Ok(Prompt::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, blocks: A) -> Result<Prompt, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(blocks)).map(Prompt::Blocks)
    }
}

impl JsonSchema for Prompt {
    fn schema_name() -> Cow<'static, str> {
        "Prompt".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let block = generator.subschema_for::<ContentBlock>();
        json_schema!({
            "description": "Text, or blocks of text and images.",
            "anyOf": [
                { "type": "string", "minLength": 1, "pattern": r"\S" },
                { "type": "array", "items": block, "minItems": 1, "maxItems": BLOCKS_MAX },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_words_at_every_depth() {
        let prompt = |block: Value, source: Value| {
            let source = json!({ "type": source, "media_type": "image/gif", "data": "aGk=" });
            serde_json::from_str::<Prompt>(&json!([{ "type": block, "source": source }]).to_string())
        };
        assert!(prompt(json!("image"), json!("base64")).is_ok());
        for (block, source) in
            [(json!(1), json!("base64")), (json!("image"), json!(0)), (json!("image"), Value::Null)]
        {
            assert!(prompt(block.clone(), source.clone()).is_err(), "{block} {source}");
        }
    }
}
