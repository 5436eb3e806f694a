//! The part of a judged input that its decision keeps.

use serde_json::{Value, json};

/// An input of so many bytes is kept whole; the tool call itself keeps every input whole.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;
/// In a larger input, texts are cut to so many bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// The input as a decision keeps it, and whether anything is missing. A large one, such as a file that is written,
/// keeps its fields and the beginning of each text.
pub(crate) fn excerpt(input: &Value) -> (Value, bool) {
    let bytes = bytes(input);
    if bytes <= INPUT_BYTES_MAX {
        return (input.clone(), false);
    }
    let mut kept = input.clone();
    cut(&mut kept);
    if self::bytes(&kept) > INPUT_BYTES_MAX {
        kept = json!({ "left_out_bytes": bytes });
    }
    (kept, true)
}

/// About how much it takes as text; escapes are not counted.
fn bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(bytes).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + 4 + bytes(value)).sum(),
    }
}

fn cut(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            let end = text.floor_char_boundary(TEXT_BYTES_MAX);
            let left_out = text.len() - end;
            if left_out > 0 {
                text.truncate(end);
                text.push_str(&format!("… ({left_out} bytes left out)"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(cut),
        Value::Object(fields) => fields.values_mut().for_each(cut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_input_keeps_its_fields_and_says_what_is_missing() {
        let small = json!({ "command": "ls", "timeout": 3 });
        assert_eq!(excerpt(&small), (small.clone(), false));
        let content = "é".repeat(INPUT_BYTES_MAX);
        let (kept, is_cut) = excerpt(&json!({ "file_path": "/a", "content": content }));
        assert!(is_cut);
        assert_eq!(kept["file_path"], "/a");
        let text = kept["content"].as_str().unwrap();
        assert!(text.len() < TEXT_BYTES_MAX + 40 && text.ends_with("bytes left out)"), "{}", text.len());
        let many: Vec<_> = (0..INPUT_BYTES_MAX).collect();
        let (kept, is_cut) = excerpt(&json!({ "edits": many }));
        assert!(is_cut && kept["left_out_bytes"].as_u64().unwrap() > INPUT_BYTES_MAX as u64);
    }
}
