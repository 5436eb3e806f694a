//! The wire: one line is one JSON object, or it is skipped with a reason.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

/// Why something the agent wrote was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// Longer than `Limits::line_bytes_max`.
    Oversized,
    /// Does not start with `{`: some builds print plain diagnostics on stdout.
    NotAnObject,
    /// Not UTF-8.
    InvalidUtf8,
    /// Starts like an object but is not JSON, or is nested more deeply than this crate reads.
    InvalidJson,
    /// `result_index` jumped: results in between never reached us.
    ResultGap {
        /// The index that should have come.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// The agent has more requests open than `Limits::requests_max`; this one was refused, so the tool call it
    /// belongs to does not run.
    TooManyRequests,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oversized => f.write_str("the line is longer than the bound"),
            Self::NotAnObject => f.write_str("the line is no JSON object"),
            Self::InvalidUtf8 => f.write_str("the line is not UTF-8"),
            Self::InvalidJson => f.write_str("the line is not JSON, or is nested too deeply"),
            Self::ResultGap { expected, found } => {
                write!(f, "result {expected} was expected and result {found} came")
            }
            Self::TooManyRequests => f.write_str("the agent has too many requests open"),
        }
    }
}

/// Reads one line as a JSON object.
pub fn read_line(line: &[u8]) -> Result<Value, SkipReason> {
    if line.first() != Some(&b'{') {
        return Err(SkipReason::NotAnObject);
    }
    let text = std::str::from_utf8(line).map_err(|_| SkipReason::InvalidUtf8)?;
    serde_json::from_str(text)
        .or_else(|error| match mend_lone_surrogates(text) {
            Cow::Borrowed(_) => Err(error),
            Cow::Owned(mended) => serde_json::from_str(&mended),
        })
        .map_err(|_| SkipReason::InvalidJson)
}

/// What a line says of itself that cannot be read as a whole, or of which only the beginning is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Its `type`.
    pub kind: Option<String>,
    /// Its `request_id`.
    pub request_id: Option<String>,
}

impl Head {
    /// Reads as far as the line can be read. What is of no interest is passed over at any depth.
    pub fn read(line: &[u8]) -> Self {
        let mut head = Self::default();
        let mut json = serde_json::Deserializer::from_slice(line);
        // That the line cannot be read to its end is why it is looked at here.
        let _ = json.deserialize_map(HeadVisitor(&mut head));
        head
    }
}

struct HeadVisitor<'a>(&'a mut Head);

impl<'de> Visitor<'de> for HeadVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            match &*name {
                "type" => self.0.kind = Some(fields.next_value()?),
                "request_id" => self.0.request_id = Some(fields.next_value()?),
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Writes one object as a line with its `\n`.
pub fn write_line(frame: &Value) -> Vec<u8> {
    let mut line = frame.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Replaces `\ud83d`-like halves by `\ufffd`. JavaScript strings may be cut inside a character, the agent
/// then writes half of a pair, and a result must not be lost for it.
fn mend_lone_surrogates(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut mended: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        let escape = at + found;
        at = escape + 2;
        let Some(unit) = unit_at(bytes, escape) else {
            continue;
        };
        at = escape + 6;
        let is_pair = (0xd800..0xdc00).contains(&unit)
            && unit_at(bytes, at).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        if is_pair {
            at += 6;
        } else if (0xd800..0xe000).contains(&unit) {
            let out = mended.get_or_insert_with(String::new);
            out.push_str(&text[copied..escape]);
            out.push_str("\\ufffd");
            copied = at;
        }
    }
    match mended {
        Some(mut out) => {
            out.push_str(&text[copied..]);
            Cow::Owned(out)
        }
        None => Cow::Borrowed(text),
    }
}

/// The UTF-16 unit of a `\uXXXX` escape that starts at `at`.
fn unit_at(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    if !escape.starts_with(b"\\u") {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(&escape[2..]).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_does_not_lose_the_line() {
        let line = br#"{"a":"x\ud83d","b":"\ud83d\ude00","c":"\\ud83d","d":"\udc00\ud83d"}"#;
        let value = read_line(line).unwrap();
        assert_eq!(value["a"], "x\u{fffd}");
        assert_eq!(value["b"], "\u{1f600}");
        assert_eq!(value["c"], "\\ud83d");
        assert_eq!(value["d"], "\u{fffd}\u{fffd}");
    }

    #[test]
    fn what_cannot_be_read_has_a_reason() {
        assert_eq!(read_line(b"[SandboxDebug] x"), Err(SkipReason::NotAnObject));
        assert_eq!(read_line(b""), Err(SkipReason::NotAnObject));
        assert_eq!(read_line(b"{\"a\":"), Err(SkipReason::InvalidJson));
        assert_eq!(read_line(b"{\"a\\"), Err(SkipReason::InvalidJson));
        assert_eq!(read_line(b"{\"\xff\":1}"), Err(SkipReason::InvalidUtf8));
    }

    #[test]
    fn what_cannot_be_read_still_says_what_it_is() {
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        let deep = format!(r#"{{"request":{open}{close},"type":"control_request","request_id":"r"}}"#);
        assert_eq!(read_line(deep.as_bytes()), Err(SkipReason::InvalidJson));
        let whose = br#"{"type":"control_request","request_id":"r","#;
        let garbled: [&[u8]; 4] =
            [b"", b"\"request\":{\"input\":\"", b"\"request\":\"\xff\"}", b"\"a\" \"b\"}"];
        let lines = garbled.map(|rest| [whose, rest].concat());
        for line in lines.iter().map(Vec::as_slice).chain([deep.as_bytes()]) {
            let head = Head::read(line);
            assert_eq!(head.kind.as_deref(), Some("control_request"), "{}", line.escape_ascii());
            assert_eq!(head.request_id.as_deref(), Some("r"), "{}", line.escape_ascii());
        }
        for line in [&b"[SandboxDebug] x"[..], b"", b"{\"type\":7,", b"{\"type\":\"control_req"] {
            assert_eq!(Head::read(line), Head::default(), "{}", line.escape_ascii());
        }
    }
}
