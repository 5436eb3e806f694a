//! Single fields of an excerpt, found without parsing more lines than needed.

use memchr::memmem;
use serde_json::Value;

use super::excerpt::Part;

/// How much of an unfinished text is looked at, in bytes.
const STRING_BYTES_MAX: usize = 4096;

/// Whether a line mentions this text anywhere.
pub(super) fn mentions(line: &str, text: &str) -> bool {
    memmem::find(line.as_bytes(), text.as_bytes()).is_some()
}

/// The last text under this key at the top of an entry, if it is not empty. A cut line counts too.
pub(super) fn last(part: &Part, key: &str, is_head: bool) -> Option<String> {
    let quoted = format!("\"{key}\"");
    let cut = || part.cut.as_deref().and_then(|cut| last_in_cut(cut, &quoted));
    let in_lines = || part.lines.iter().rev().find_map(|line| in_line(line, key, &quoted));
    let found = if is_head { cut().or_else(in_lines) } else { in_lines().or_else(cut) };
    found.filter(|text| !text.is_empty())
}

/// The first text under this key at the top of an entry of a head, if it is not empty.
pub(super) fn first(head: &Part, key: &str) -> Option<String> {
    let quoted = format!("\"{key}\"");
    let found = head.lines.iter().find_map(|line| in_line(line, key, &quoted));
    let found = found.or_else(|| head.cut.as_deref().and_then(|cut| first_in_cut(cut, &quoted)));
    found.filter(|text| !text.is_empty())
}

/// The last whole entry of this type.
pub(super) fn last_of_type(part: &Part, kind: &str) -> Option<Value> {
    let quoted = format!("\"{kind}\"");
    let lines = part.lines.iter().rev().filter(|line| mentions(line, &quoted));
    lines.filter_map(|line| serde_json::from_str(line).ok()).find(|entry: &Value| entry["type"] == kind)
}

/// The JSON text that begins here, up to its quote or as far as it goes.
pub(super) fn string_at(rest: &str) -> String {
    let mut end = 0;
    let mut is_escaped = false;
    for (at, character) in rest.char_indices() {
        let is_end = character == '"' && !is_escaped;
        if is_end || at > STRING_BYTES_MAX {
            break;
        }
        is_escaped = character == '\\' && !is_escaped;
        end = at + character.len_utf8();
    }
    unescape(rest.get(..end).unwrap_or_default())
}

fn in_line(line: &str, key: &str, quoted: &str) -> Option<String> {
    if !mentions(line, quoted) {
        return None;
    }
    let entry: Value = serde_json::from_str(line).ok()?;
    entry[key].as_str().map(str::to_owned)
}

/// Depth is not known in a cut line, so any object in it counts.
fn last_in_cut(cut: &str, quoted: &str) -> Option<String> {
    let found = memmem::rfind_iter(cut.as_bytes(), quoted.as_bytes());
    found.into_iter().find_map(|at| value_at(cut, at + quoted.len()))
}

fn first_in_cut(cut: &str, quoted: &str) -> Option<String> {
    let mut found = memmem::find_iter(cut.as_bytes(), quoted.as_bytes());
    found.find_map(|at| value_at(cut, at + quoted.len()))
}

/// The text after a key; only one that is whole.
fn value_at(cut: &str, at: usize) -> Option<String> {
    let value = cut.get(at..)?.trim_start().strip_prefix(':')?.trim_start();
    let mut values = serde_json::Deserializer::from_str(value).into_iter::<String>();
    values.next()?.ok()
}

/// An unfinished escape at the end is left out.
fn unescape(raw: &str) -> String {
    let mut raw = raw;
    for _ in 0..12 {
        if let Ok(text) = serde_json::from_str(&format!("\"{raw}\"")) {
            return text;
        }
        let mut characters = raw.chars();
        characters.next_back();
        raw = characters.as_str();
    }
    raw.to_owned()
}
