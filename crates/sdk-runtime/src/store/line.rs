//! Lines of a transcript as the agent reports them: found to be good JSON, and kept as text. Most of them are stored as
//! they are, and nobody needs their parts.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::lazy::Sketch;

/// One line of a transcript: a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptLine {
    text: Box<str>,
    uuid: Option<Box<str>>,
    is_of_model: bool,
}

impl TranscriptLine {
    /// The object as text, without line breaks.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its `uuid`, if it has one that is a text.
    pub fn uuid(&self) -> Option<&str> {
        self.uuid.as_deref()
    }

    /// The object itself.
    pub fn value(&self) -> Value {
        // Checked by the same parser when it came, so it cannot fail now.
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Whether it is a message of the model.
    pub(super) fn is_of_model(&self) -> bool {
        self.is_of_model
    }

    fn read(text: &str) -> Option<Self> {
        let Sketch { kind, uuid, .. } = serde_json::from_str(text).ok()?;
        Some(Self { text: text.into(), uuid: uuid.map(Into::into), is_of_model: kind == "assistant" })
    }
}

impl From<&Value> for TranscriptLine {
    fn from(value: &Value) -> Self {
        Self {
            text: value.to_string().into(),
            uuid: value["uuid"].as_str().map(Into::into),
            is_of_model: value["type"] == "assistant",
        }
    }
}

/// How the agent begins a report of lines. Others are read as any line is.
const REPORT_START: &[u8] = br#"{"type":"transcript_mirror","#;

/// A report of lines that were written to a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Report {
    pub(super) file: String,
    pub(super) lines: Vec<TranscriptLine>,
}

impl Report {
    /// Reads a line of the agent that is a report beyond doubt; `None` for all others, good or bad.
    pub(crate) fn read(line: &[u8]) -> Option<Self> {
        if !line.starts_with(REPORT_START) {
            return None;
        }
        let frame: Frame<'_> = serde_json::from_str(std::str::from_utf8(line).ok()?).ok()?;
        if frame.kind != "transcript_mirror" {
            return None;
        }
        let lines = frame.entries.iter().map(|entry| TranscriptLine::read(entry.get()));
        Some(Self { file: frame.file.into_owned(), lines: lines.collect::<Option<_>>()? })
    }

    /// The same of a frame that was parsed.
    pub(crate) fn of(frame: &Value) -> Self {
        let file = frame["filePath"].as_str().unwrap_or_default().to_owned();
        let lines = frame["entries"].as_array().into_iter().flatten().map(TranscriptLine::from);
        Self { file, lines: lines.collect() }
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "filePath", borrow)]
    file: Cow<'a, str>,
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;
    use serde_json::json;

    fn report(entries: &str) -> Vec<u8> {
        format!(
            r#"{{"type":"transcript_mirror","filePath":"/c/é\u00e9.jsonl","entries":{entries},"more":[1]}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_report_reads_as_if_it_had_been_parsed_at_once() {
        let line = report(
            r#"[{"type":"assistant","uuid":"a\u0062","n":[1,-2,3.5e2,true,null,{}]},{"n":7},{"b":"\ud83d\ude00"}]"#,
        );
        let (read, parsed) = (Report::read(&line).unwrap(), wire::read_line(&line).unwrap());
        assert_eq!(read.file, "/c/éé.jsonl");
        let uuids: Vec<_> = read.lines.iter().map(TranscriptLine::uuid).collect();
        assert_eq!(uuids, [Some("ab"), None, None]);
        let values: Vec<_> = read.lines.iter().map(TranscriptLine::value).collect();
        assert_eq!(json!(values), parsed["entries"]);
        let of_model: Vec<_> = read.lines.iter().map(|line| line.is_of_model).collect();
        assert_eq!(of_model, [true, false, false]);
        assert_eq!(read.lines[1].text(), r#"{"n":7}"#);

        let slow = Report::of(&parsed);
        assert_eq!(slow.file, read.file);
        for (slow, fast) in slow.lines.iter().zip(&read.lines) {
            assert_eq!(
                (slow.uuid(), slow.value(), slow.is_of_model),
                (fast.uuid(), fast.value(), fast.is_of_model)
            );
        }
    }

    #[test]
    fn what_could_not_be_parsed_later_is_not_taken_now() {
        let deep = format!(r#"[{{"a":{}{}}}]"#, "[".repeat(200), "]".repeat(200));
        for entries in [
            r#"[{"a":"\ud83d"}]"#,
            r#"[{"a":1e999}]"#,
            r#"[{"uuid":7}]"#,
            r#"[{"type":null}]"#,
            r#"[{"uuid":"\ud83d"}]"#,
            &deep,
            "[1]",
            "{}",
            "null",
            "[{}",
        ] {
            assert_eq!(Report::read(&report(entries)), None, "{entries}");
        }
        assert_eq!(Report::read(br#"{"type":"transcript_mirror","filePath":"x"}"#), None);
        assert_eq!(
            Report::read(br#"{"type":"transcript_mirror","type":"result","filePath":"x","entries":[]}"#),
            None
        );
        assert_eq!(
            Report::read(b"{\"type\":\"transcript_mirror\",\"filePath\":\"\xff\",\"entries\":[]}"),
            None
        );
    }
}
