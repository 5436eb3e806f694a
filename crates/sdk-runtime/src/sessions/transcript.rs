//! Transcripts as lines of JSON: read without trusting them, written in the order the CLI writes.

use std::{
    borrow::Cow,
    io::{self, Read as _},
    path::Path,
};

use serde_json::Value;

use super::excerpt::open_file;
use crate::{
    framing::{LineSplitter, Piece},
    limits::Limits,
    wire,
};

const READ_BYTES: usize = 256 << 10;

/// Fields the CLI writes first; its readers of large files look for them at the beginning of a line.
const FIRST_FIELDS: [&str; 2] = ["parentUuid", "isSidechain"];

/// Whether an entry is part of the tree of a conversation.
pub(crate) fn is_in_tree(entry: &Value) -> bool {
    let is_known =
        matches!(entry["type"].as_str(), Some("user" | "assistant" | "progress" | "system" | "attachment"));
    is_known && entry["uuid"].is_string()
}

/// Reads the entries of a transcript that `keep` wants. Torn and foreign lines, and those longer than
/// `Limits::line_bytes_max`, are passed over.
pub(crate) fn read_entries(path: &Path, keep: impl Fn(&Value) -> bool) -> io::Result<Vec<Value>> {
    let mut file = open_file(path)?;
    let mut splitter = LineSplitter::new(Limits::default().line_bytes_max);
    let mut entries = Vec::new();
    let mut each = |piece: Piece<'_>| {
        if let Piece::Line(line) = piece
            && let Some(entry) = read_entry(line)
            && keep(&entry)
        {
            entries.push(entry);
        }
    };
    let mut chunk = vec![0; READ_BYTES];
    loop {
        let read = match file.read(&mut chunk) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read == 0 {
            break;
        }
        splitter.push(chunk.get(..read).unwrap_or_default(), &mut each);
    }
    splitter.end(&mut each);
    Ok(entries)
}

/// Bytes that are not UTF-8 cost their characters, not the entry, because others point to it.
fn read_entry(line: &[u8]) -> Option<Value> {
    match String::from_utf8_lossy(line.trim_ascii()) {
        Cow::Borrowed(text) => wire::read_line(text.as_bytes()).ok(),
        Cow::Owned(mended) => wire::read_line(mended.as_bytes()).ok(),
    }
}

/// One entry as a line, with its `\n`.
pub(crate) fn write_entry(entry: &Value) -> String {
    let Value::Object(fields) = entry else {
        return format!("{entry}\n");
    };
    let mut first: Vec<&str> = Vec::new();
    if fields.contains_key("parentUuid") {
        first.extend(FIRST_FIELDS.iter().filter(|name| fields.contains_key(**name)));
    } else if fields.contains_key("type") {
        first.push("type");
    }
    let mut line = String::from("{");
    for name in &first {
        field(&mut line, name, &fields[*name]);
    }
    for (name, value) in fields.iter().filter(|(name, _)| !first.contains(&name.as_str())) {
        field(&mut line, name, value);
    }
    line.push_str("}\n");
    line
}

fn field(line: &mut String, name: &str, value: &Value) {
    if line.len() > 1 {
        line.push(',');
    }
    line.push_str(&Value::from(name).to_string());
    line.push(':');
    line.push_str(&value.to_string());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_readers_look_for_come_first() {
        let message = json!({ "type": "user", "uuid": "u", "isSidechain": false, "parentUuid": null });
        let line = write_entry(&message);
        assert!(line.starts_with(r#"{"parentUuid":null,"isSidechain":false,"#), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), message);
        let title = json!({ "customTitle": "x", "type": "custom-title" });
        assert_eq!(write_entry(&title), "{\"type\":\"custom-title\",\"customTitle\":\"x\"}\n");
        assert_eq!(write_entry(&json!({})), "{}\n");
    }

    #[test]
    fn torn_and_foreign_lines_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        let text = b"{\"a\":1}\nplain\n[1]\n\n{\"b\":\"\xff\"}\r\n{\"c\":\"\\ud83d\"}\n{\"torn\":";
        std::fs::write(&path, text).unwrap();
        let entries = read_entries(&path, |_| true).unwrap();
        assert_eq!(entries, [json!({"a":1}), json!({"b":"\u{fffd}"}), json!({"c":"\u{fffd}"})]);
    }
}
