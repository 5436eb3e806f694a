//! What is kept on record of a large input or output.

use crate::limits::{RECORDED_BYTES_MAX, RECORDED_TEXT_BYTES_MAX};
use serde_json::{Value, json};
use std::io::{self, Write};

/// The value itself, or, if it is too large, the same with its long texts cut; a cut text says so.
pub fn excerpt(value: &Value) -> Value {
    let bytes = size(value);
    if bytes <= RECORDED_BYTES_MAX {
        return value.clone();
    }
    let mut cut = value.clone();
    cut_texts(&mut cut);
    if size(&cut) <= RECORDED_BYTES_MAX {
        return cut;
    }
    json!({ "truncated": true, "bytes": bytes })
}

fn cut_texts(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > RECORDED_TEXT_BYTES_MAX => {
            let more = text.len() - text.floor_char_boundary(RECORDED_TEXT_BYTES_MAX);
            text.truncate(text.floor_char_boundary(RECORDED_TEXT_BYTES_MAX));
            text.push_str(&format!("… [{more} bytes more]"));
        }
        Value::Array(items) => items.iter_mut().for_each(cut_texts),
        Value::Object(fields) => fields.values_mut().for_each(cut_texts),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Bytes of the value as JSON, counted and not kept.
fn size(value: &Value) -> usize {
    struct Counter(usize);
    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_kept_and_what_is_large_says_what_is_missing() {
        let small = json!({ "tool_input": { "command": "ls", "list": [1, 2] } });
        assert_eq!(excerpt(&small), small);

        let large = json!({ "tool_name": "Write", "tool_input": { "content": "ü".repeat(100_000) } });
        let kept = excerpt(&large);
        assert_eq!(kept["tool_name"], "Write");
        let content = kept["tool_input"]["content"].as_str().unwrap();
        assert!(content.starts_with("üü") && content.ends_with("… [195904 bytes more]"), "{}", content.len());
        assert!(size(&kept) <= RECORDED_BYTES_MAX);

        let many = json!(vec!["x"; 100_000]);
        assert_eq!(excerpt(&many), json!({ "truncated": true, "bytes": 400_001 }));
    }
}
