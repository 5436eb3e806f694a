//! The first prompt of a session that a person wrote, which names a session that has no title.

use serde_json::Value;

use super::{excerpt::Part, fields};

const CHARS_MAX: usize = 200;

/// What begins like this was written by a machine.
const MACHINE_STARTS: [&str; 4] = ["<local-command-stdout>", "<session-start-hook>", "<tick>", "<goal>"];
/// What is wrapped in these was written by an editor.
const EDITOR_TAGS: [&str; 2] = ["ide_opened_file", "ide_selection"];
const INTERRUPTION: &str = "[Request interrupted by user";

/// Looks for the first prompt, line by line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct FirstPrompt {
    found: Option<String>,
    command: Option<String>,
}

impl FirstPrompt {
    /// In the head of a transcript. A prompt too long for it is found by its beginning.
    pub(super) fn in_head(head: &Part) -> Option<String> {
        let mut prompt = Self::default();
        for line in &head.lines {
            if fields::mentions(line, "\"user\"")
                && let Ok(entry) = serde_json::from_str(line)
            {
                prompt.look_at(&entry);
            }
            if prompt.found.is_some() {
                break;
            }
        }
        if prompt.found.is_none()
            && let Some(cut) = &head.cut
        {
            prompt.look_at_cut(cut);
        }
        prompt.text()
    }

    /// Looks at one more entry.
    pub(crate) fn look_at(&mut self, entry: &Value) {
        if self.found.is_some() || entry["type"] != "user" {
            return;
        }
        if entry["isMeta"] == true || entry["isCompactSummary"] == true {
            return;
        }
        self.look_at_content(&entry["message"]["content"]);
    }

    fn look_at_content(&mut self, content: &Value) {
        match content {
            Value::String(text) => self.consider(text),
            Value::Array(blocks) if blocks.iter().any(|block| block["type"] == "tool_result") => {}
            Value::Array(blocks) => {
                let texts = blocks.iter().filter(|block| block["type"] == "text");
                texts.filter_map(|block| block["text"].as_str()).for_each(|text| self.consider(text));
            }
            _ => {}
        }
    }

    /// Whether this content of a message has a prompt that a person wrote; a command is none.
    pub(super) fn is_in(content: &Value) -> bool {
        let mut prompt = Self::default();
        prompt.look_at_content(content);
        prompt.found.is_some()
    }

    /// The prompt, else the first command.
    pub(crate) fn text(self) -> Option<String> {
        self.found.or(self.command)
    }

    fn look_at_cut(&mut self, cut: &str) {
        let Some(message) = cut.find("\"type\":\"user\"").and_then(|at| cut.get(at..)) else {
            return;
        };
        if message.contains("\"tool_result\"") || cut.contains("\"isMeta\":true") {
            return;
        }
        for key in ["\"content\":\"", "\"text\":\""] {
            if let Some(at) = message.find(key) {
                let text = fields::string_at(message.get(at + key.len()..).unwrap_or_default());
                return self.consider(&text);
            }
        }
    }

    fn consider(&mut self, text: &str) {
        if self.found.is_some() {
            return;
        }
        let text = text.replace('\n', " ");
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if let Some(command) = between(text, "<command-name>", "</command-name>") {
            self.command.get_or_insert_with(|| command.to_owned());
            return;
        }
        if is_machine_made(text) {
            return;
        }
        self.found = Some(match text.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
            None => text.to_owned(),
        });
    }
}

fn is_machine_made(text: &str) -> bool {
    let is_wrapped =
        |tag: &&str| text.starts_with(&format!("<{tag}>")) && text.ends_with(&format!("</{tag}>"));
    MACHINE_STARTS.iter().any(|start| text.starts_with(start))
        || text.strip_prefix(INTERRUPTION).is_some_and(|rest| rest.contains(']'))
        || EDITOR_TAGS.iter().any(is_wrapped)
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(open)?;
    rest.split_once(close).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn first(contents: &[Value]) -> Option<String> {
        let mut prompt = FirstPrompt::default();
        for content in contents {
            prompt.look_at(&json!({ "type": "user", "message": { "content": content } }));
        }
        prompt.text()
    }

    #[test]
    fn what_machines_wrote_is_no_prompt() {
        let said = [
            json!("<local-command-stdout>x"),
            json!("[Request interrupted by user for tool use]"),
            json!([{ "type": "tool_result", "content": "x" }, { "type": "text", "text": "not this" }]),
            json!("<ide_selection>a\nb</ide_selection>"),
            json!([{ "type": "text", "text": " \n " }, { "type": "text", "text": "real\nprompt" }]),
            json!("later"),
        ];
        assert_eq!(first(&said).as_deref(), Some("real prompt"));
    }

    #[test]
    fn a_command_names_a_session_without_a_prompt() {
        let said = [json!("<command-name>/clear</command-name> x"), json!("<command-name>/x</command-name>")];
        assert_eq!(first(&said).as_deref(), Some("/clear"));
    }

    #[test]
    fn a_long_prompt_is_cut_between_characters() {
        let text = first(&[json!("ü".repeat(300))]).unwrap();
        assert_eq!(text, format!("{}…", "ü".repeat(200)));
    }

    #[test]
    fn a_prompt_that_does_not_fit_the_head_is_found_by_its_beginning() {
        let cut =
            r#"{"parentUuid":null,"type":"user","message":{"role":"user","content":"say \"hi\" and \u00"#;
        let head = Part { lines: Vec::new(), cut: Some(cut.to_owned()) };
        assert_eq!(FirstPrompt::in_head(&head).as_deref(), Some("say \"hi\" and"));
    }
}
