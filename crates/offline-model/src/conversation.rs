//! The parts of a Messages request that decide the answer: prompts, tools, model, stream or not.

use serde::Deserialize;

const REMINDER_START: &str = "<system-reminder>";
const REMINDER_END: &str = "</system-reminder>";

/// The body of `POST /v1/messages`, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct MessagesRequest {
    #[serde(default)]
    pub(crate) model: Option<String>,
    #[serde(default)]
    pub(crate) stream: bool,
    #[serde(default)]
    pub(crate) messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<Tool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    role: String,
    content: Content,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Blocks(Vec<ContentBlock>),
}

#[derive(Debug, Deserialize)]
struct ContentBlock {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Tool {
    #[serde(default)]
    name: String,
}

/// The prompt to answer and where in its script the conversation stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    /// Assistant messages that follow the prompt.
    pub(crate) answers: usize,
    /// Earlier user prompts, oldest first.
    pub(crate) earlier: Vec<String>,
}

impl MessagesRequest {
    pub(crate) fn offers(&self, tool: &str) -> bool {
        self.tools.iter().any(|offered| offered.name == tool)
    }

    pub(crate) fn prompt(&self) -> Prompt {
        let mut answers = 0;
        let mut messages = self.messages.iter().rev();
        for message in messages.by_ref() {
            if message.role == "assistant" {
                answers += 1;
            } else if let Some(text) = message.user_text() {
                let mut earlier: Vec<String> = messages.filter_map(Message::user_text).collect();
                earlier.reverse();
                return Prompt { text, answers, earlier };
            }
        }
        Prompt { text: String::new(), answers, earlier: Vec::new() }
    }
}

impl Message {
    /// The last text a user wrote in this message, without what the CLI put around it.
    ///
    /// The CLI also sends messages with the role `system` in the middle of a conversation; they are not a prompt.
    fn user_text(&self) -> Option<String> {
        if self.role != "user" {
            return None;
        }
        match &self.content {
            Content::Text(text) => written_by_user(text),
            Content::Blocks(blocks) => blocks
                .iter()
                .rev()
                .filter(|block| block.kind == "text")
                .filter_map(|block| block.text.as_deref())
                .find_map(written_by_user),
        }
    }
}

fn written_by_user(text: &str) -> Option<String> {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, reminder)) = rest.split_once(REMINDER_START) {
        let Some((_, after)) = reminder.split_once(REMINDER_END) else { break };
        kept.push_str(before);
        rest = after;
    }
    kept.push_str(rest);
    let trimmed = kept.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn prompt(messages: Value) -> Prompt {
        let request: MessagesRequest = serde_json::from_value(json!({ "messages": messages })).unwrap();
        request.prompt()
    }

    #[test]
    fn the_last_text_of_the_user_is_the_prompt() {
        let found = prompt(json!([
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": [
                {"type": "text", "text": "<system-reminder>x\ny</system-reminder> second "},
                {"type": "text", "text": "<system-reminder>only a reminder</system-reminder>"},
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "out"}]},
            {"role": "system", "content": "not a prompt"},
        ]));
        assert_eq!(
            found,
            Prompt { text: "second".to_owned(), answers: 1, earlier: vec!["first".to_owned()] }
        );
    }

    #[test]
    fn a_conversation_without_text_has_an_empty_prompt() {
        assert_eq!(prompt(json!([])).text, "");
        assert_eq!(prompt(json!([{"role": "system", "content": "x"}])).text, "");
    }
}
