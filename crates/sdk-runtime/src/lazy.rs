//! JSON that was found to be good and is taken apart when somebody looks.

use std::{borrow::Cow, fmt, ops::Deref, sync::OnceLock};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

/// A JSON value as text, read into a [`Value`] on first use. It reads like one: `raw["event"]["type"]`.
#[derive(Clone)]
pub struct LazyValue {
    text: Box<str>,
    value: OnceLock<Value>,
}

impl LazyValue {
    /// The text as the agent wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value itself.
    pub fn into_value(mut self) -> Value {
        self.value.take().unwrap_or_else(|| parse(&self.text))
    }
}

/// The text was checked by the same parser when it came, so it cannot fail now.
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

impl Deref for LazyValue {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value.get_or_init(|| parse(&self.text))
    }
}

impl From<Value> for LazyValue {
    fn from(value: Value) -> Self {
        Self { text: value.to_string().into(), value: value.into() }
    }
}

impl PartialEq for LazyValue {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text || **self == **other
    }
}

impl fmt::Debug for LazyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A stream event that is good JSON.
pub(crate) struct StreamEventLine {
    pub(crate) parent_tool_use_id: Option<String>,
    pub(crate) raw: LazyValue,
}

/// How the agent begins the line of a stream event. Others are read as any line is.
const STREAM_EVENT_START: &[u8] = br#"{"type":"stream_event","#;

impl StreamEventLine {
    /// Reads a line that is a stream event beyond doubt; `None` for all others, good or bad.
    pub(crate) fn read(line: &[u8]) -> Option<Self> {
        if !line.starts_with(STREAM_EVENT_START) {
            return None;
        }
        let text = std::str::from_utf8(line).ok()?;
        let Sketch { kind, parent_tool_use_id, .. } = serde_json::from_str(text).ok()?;
        (kind == "stream_event").then(|| Self {
            parent_tool_use_id,
            raw: LazyValue { text: text.into(), value: OnceLock::new() },
        })
    }
}

/// The fields of an object that say what it is; the rest is looked at as closely as if it were kept.
#[derive(Default)]
pub(crate) struct Sketch<'a> {
    pub(crate) kind: Cow<'a, str>,
    pub(crate) uuid: Option<Cow<'a, str>>,
    parent_tool_use_id: Option<String>,
}

impl<'de> Deserialize<'de> for Sketch<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SketchVisitor)
    }
}

struct SketchVisitor;

impl<'de> Visitor<'de> for SketchVisitor {
    type Value = Sketch<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut sketch = Sketch::default();
        while let Some(Text(name)) = fields.next_key()? {
            match &*name {
                "type" => sketch.kind = fields.next_value::<Text<'de>>()?.0,
                "uuid" => sketch.uuid = Some(fields.next_value::<Text<'de>>()?.0),
                "parent_tool_use_id" => sketch.parent_tool_use_id = fields.next_value()?,
                _ => {
                    fields.next_value::<Sound>()?;
                }
            }
        }
        Ok(sketch)
    }
}

/// A text, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Any value that can be read. Unlike `IgnoredAny` it refuses what a [`Value`] could not hold: half a surrogate pair,
/// a number out of range, nesting without end.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SoundVisitor)
    }
}

struct SoundVisitor;

impl<'de> Visitor<'de> for SoundVisitor {
    type Value = Sound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Sound, A::Error> {
        while items.next_element::<Sound>()?.is_some() {}
        Ok(Sound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Sound, A::Error> {
        while fields.next_entry::<Sound, Sound>()?.is_some() {}
        Ok(Sound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn line(rest: &str) -> Vec<u8> {
        [STREAM_EVENT_START, rest.as_bytes()].concat()
    }

    #[test]
    fn a_stream_event_reads_as_if_it_had_been_parsed_at_once() {
        let line = line(
            r#""event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"h\u00e9\n\"\ud83d\ude00"}},"parent_tool_use_id":"toolu_1","n":[1,-2,3.5e2,true,null,{}]}"#,
        );
        let read = StreamEventLine::read(&line).unwrap();
        assert_eq!(read.parent_tool_use_id.as_deref(), Some("toolu_1"));
        assert_eq!(read.raw["event"]["delta"]["type"], "text_delta");
        assert_eq!(read.raw.text().as_bytes(), line);
        assert_eq!(read.raw.into_value(), wire::read_line(&line).unwrap());
    }

    #[test]
    fn what_could_not_be_parsed_later_is_not_taken_now() {
        let deep = format!(r#""event":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for rest in [
            r#""event":{"a":"\ud83d"}}"#,
            r#""event":1e999}"#,
            &deep,
            r#""event":{}"#,
            r#""event":{}} x"#,
            r#""event":{},"type":"result"}"#,
            r#""event":{},"parent_tool_use_id":7}"#,
            "",
        ] {
            assert!(StreamEventLine::read(&line(rest)).is_none(), "{rest}");
        }
        assert!(StreamEventLine::read(br#"{"type":"result"}"#).is_none());
        assert!(StreamEventLine::read(b"{\"type\":\"stream_event\",\"a\":\"\xff\"}").is_none());
    }
}
