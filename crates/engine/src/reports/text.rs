//! What was said and handed to tools, as texts of a bounded length.

use serde_json::Value;

/// Cuts texts, and counts how many it had to cut.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    pub cut: u64,
}

impl Cutter {
    /// The text, or its beginning and how long it was.
    pub(super) fn cut(&mut self, mut text: String, bytes_max: usize) -> String {
        let bytes = text.len();
        if bytes > bytes_max {
            self.cut += 1;
            text.truncate(text.floor_char_boundary(bytes_max));
            text.push_str(&format!("\n\n[… shortened: {bytes} bytes in all]"));
        }
        text
    }
}

/// A message as text. `None` if it only hands results of tools on, which are with their calls.
pub(super) fn of_message(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(blocks) => {
            let told: Vec<String> = blocks.iter().filter_map(of_block).collect();
            (!told.is_empty() || blocks.is_empty()).then(|| told.join("\n\n"))
        }
        other => Some(other.to_string()),
    }
}

fn of_block(block: &Value) -> Option<String> {
    match block["type"].as_str() {
        Some("text") => Some(block["text"].as_str().unwrap_or_default().to_owned()),
        Some("tool_use") => Some(format!("[calls {}]", block["name"].as_str().unwrap_or("a tool"))),
        Some("tool_result" | "thinking" | "redacted_thinking") => None,
        Some(kind) => Some(format!("[{kind}]")),
        None => Some("[?]".to_owned()),
    }
}

/// What a tool answered: its text, if it is text, else JSON.
pub(super) fn of_output(output: &Value) -> String {
    let texts = |blocks: &[Value]| {
        let text = |block: &Value| block["text"].as_str().map(str::to_owned);
        blocks.iter().map(|block| text(block).or_else(|| of_block(block))).collect::<Option<Vec<_>>>()
    };
    match output {
        Value::String(text) => text.clone(),
        Value::Array(blocks) if blocks.iter().all(|block| block["type"].is_string()) => {
            texts(blocks).map_or_else(|| pretty(output), |texts| texts.join("\n"))
        }
        other => pretty(other),
    }
}

/// JSON as people read it.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.cut("héllo".into(), 6), "héllo");
        assert_eq!(cutter.cut, 0);
        assert_eq!(cutter.cut("héllo".into(), 2), "h\n\n[… shortened: 6 bytes in all]");
        assert_eq!(cutter.cut, 1);
    }

    #[test]
    fn a_message_is_its_texts_and_the_names_of_the_rest() {
        let blocks = json!([
            { "type": "thinking", "thinking": "hm" },
            { "type": "text", "text": "I look." },
            { "type": "tool_use", "name": "Bash", "input": {} },
            { "type": "image", "source": { "data": "…" } },
        ]);
        assert_eq!(of_message(&blocks).unwrap(), "I look.\n\n[calls Bash]\n\n[image]");
        assert_eq!(of_message(&json!("hi")).unwrap(), "hi");
        assert_eq!(of_message(&json!([{ "type": "tool_result", "content": "x" }])), None);
        assert_eq!(of_message(&json!([])).unwrap(), "");
    }

    #[test]
    fn what_a_tool_answered_is_text_where_it_is_text() {
        assert_eq!(of_output(&json!("plain")), "plain");
        let blocks = json!([{ "type": "text", "text": "a" }, { "type": "image" }]);
        assert_eq!(of_output(&blocks), "a\n[image]");
        assert_eq!(of_output(&json!({ "a": 1 })), "{\n  \"a\": 1\n}");
        assert_eq!(of_output(&json!([1, 2])), "[\n  1,\n  2\n]");
    }
}
