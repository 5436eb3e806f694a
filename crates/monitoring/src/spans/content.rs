//! What people and models wrote, in the shape of the conventions and within a bound.

use serde_json::{Value, json};

/// Most bytes of one attribute with content; what is longer is cut.
const CONTENT_BYTES_MAX: usize = 60 * 1024;

/// One message in the JSON of `gen_ai.input.messages` and `gen_ai.output.messages`.
pub(super) fn message(role: &str, content: &Value) -> String {
    let part = |block: &Value| match block["type"].as_str() {
        Some("text") => json!({ "type": "text", "content": cut(block["text"].as_str().unwrap_or_default()) }),
        // Pictures and documents are named and not repeated.
        Some(other) => json!({ "type": other }),
        None => json!({ "type": "text", "content": cut(&plain(block)) }),
    };
    let parts: Vec<Value> = match content {
        Value::Array(blocks) => blocks.iter().map(part).collect(),
        other => vec![json!({ "type": "text", "content": cut(&plain(other)) })],
    };
    json!([{ "role": role, "parts": parts }]).to_string()
}

/// A value as one attribute.
pub(super) fn value(value: &Value) -> String {
    cut(&plain(value)).to_owned()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(CONTENT_BYTES_MAX)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_in_the_shape_of_the_conventions_and_bounded() {
        let text = message("user", &"hello".into());
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, json!([{ "role": "user", "parts": [{ "type": "text", "content": "hello" }] }]));
        let blocks =
            json!([{ "type": "text", "text": "a" }, { "type": "image", "source": { "data": "AAAA" } }]);
        let text = message("user", &blocks);
        assert!(text.contains(r#"{"type":"image"}"#) && !text.contains("AAAA"), "{text}");
        assert_eq!(value(&Value::String("ü".repeat(CONTENT_BYTES_MAX))).len(), CONTENT_BYTES_MAX);
    }
}
