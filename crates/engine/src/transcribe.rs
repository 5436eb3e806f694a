//! From what an agent says to what goes on record.

use domain::{Entry, MessageId, MessageType, NewMessage, ToolCallId, ToolCallStatus, history::ToolOutcome};
use sdk_runtime::Frame;
use serde_json::{Value, json};
use uuid::Uuid;

/// What one attempt at a turn has shown so far.
#[derive(Debug, Default)]
pub struct Transcript {
    /// The last text the agent itself (not a subagent) wrote.
    pub answer_message_id: Option<MessageId>,
    /// The last entry of the agent's own transcript.
    pub last_entry: Option<Uuid>,
    /// Whether a tool was called: from then on the turn has had effects and is never begun anew.
    pub called_tools: bool,
    /// The conversation's new id, after the agent was told to clear it.
    pub new_conversation: Option<Uuid>,
    model: Option<String>,
}

impl Transcript {
    /// What to record of a frame; most frames need nothing.
    pub fn read(&mut self, frame: &Frame) -> Vec<Entry> {
        match frame {
            Frame::Assistant { parent_tool_use_id, error, .. } => {
                if parent_tool_use_id.is_none() && error.is_none() {
                    self.last_entry = entry_uuid(frame).or(self.last_entry);
                }
                match error {
                    Some(error) => {
                        vec![Entry::Error(json!({ "code": error, "error_message": plain_text(frame) }))]
                    }
                    None => self.assistant(frame, parent_tool_use_id.clone()),
                }
            }
            Frame::User { is_replay: true, .. } => vec![],
            Frame::User { parent_tool_use_id, .. } => user(frame, parent_tool_use_id.clone()),
            Frame::System { subtype, raw } => self.system(subtype, raw),
            Frame::Unknown(raw) if raw["type"] == "conversation_reset" => {
                self.new_conversation = raw["new_conversation_id"].as_str().and_then(|id| id.parse().ok());
                vec![]
            }
            Frame::StreamEvent { .. } | Frame::Lifecycle { .. } | Frame::Unknown(_) => vec![],
        }
    }

    fn assistant(&mut self, frame: &Frame, parent_tool_use_id: Option<String>) -> Vec<Entry> {
        let blocks = frame.blocks();
        let id = MessageId::new();
        let is_text = |block: &Value| block["type"] == "text";
        if parent_tool_use_id.is_none() && blocks.iter().any(is_text) {
            self.answer_message_id = Some(id);
        }
        let raw = frame.raw();
        let message = NewMessage {
            id,
            message_type: MessageType::Assistant,
            content: raw["message"]["content"].clone(),
            model: raw["message"]["model"].as_str().map(str::to_owned).or_else(|| self.model.clone()),
            thinking: joined(blocks, "thinking"),
            parent_tool_use_id,
            entry_uuid: entry_uuid(frame),
        };
        let mut entries = vec![Entry::Message(Box::new(message))];
        for block in blocks.iter().filter(|block| block["type"] == "tool_use") {
            self.called_tools = true;
            entries.push(Entry::ToolCallStarted {
                id: ToolCallId::new(),
                tool_use_id: block["id"].as_str().unwrap_or_default().to_owned(),
                tool_name: block["name"].as_str().unwrap_or_default().to_owned(),
                tool_input: block["input"].clone(),
            });
        }
        entries
    }

    fn system(&mut self, subtype: &str, raw: &Value) -> Vec<Entry> {
        match subtype {
            "init" => {
                self.model = raw["model"].as_str().map(str::to_owned);
                vec![]
            }
            "api_retry" => vec![Entry::Retry(pick(
                raw,
                subtype,
                &["attempt", "max_retries", "retry_delay_ms", "error_status", "error"],
            ))],
            "compact_boundary" => vec![Entry::Notice(pick(raw, subtype, &["compact_metadata"]))],
            "permission_denied" => {
                let mut denied = pick(raw, subtype, &["tool_name", "tool_use_id"]);
                denied["error_message"] = raw["message"].clone();
                vec![Entry::Notice(denied)]
            }
            "informational" => vec![Entry::Notice(pick(raw, subtype, &["content", "level"]))],
            _ => vec![],
        }
    }
}

fn user(frame: &Frame, parent_tool_use_id: Option<String>) -> Vec<Entry> {
    let raw = frame.raw();
    let results: Vec<&Value> = frame.blocks().iter().filter(|block| block["type"] == "tool_result").collect();
    // A text that is not a tool's result was made up by the agent: a nudge, a summary, a subagent's prompt.
    let message_type = if results.is_empty() { MessageType::System } else { MessageType::User };
    let message = NewMessage {
        id: MessageId::new(),
        message_type,
        content: raw["message"]["content"].clone(),
        model: None,
        thinking: None,
        parent_tool_use_id,
        entry_uuid: entry_uuid(frame),
    };
    let mut entries = vec![Entry::Message(Box::new(message))];
    for block in results {
        entries.push(Entry::ToolCallCompleted(Box::new(tool_outcome(raw, block))));
    }
    entries
}

/// The transcript's entry of what the frame says.
fn entry_uuid(frame: &Frame) -> Option<Uuid> {
    frame.uuid()?.parse().ok()
}

fn tool_outcome(raw: &Value, block: &Value) -> ToolOutcome {
    let tool_use_id = block["tool_use_id"].as_str().unwrap_or_default();
    let meta = raw["tool_result_meta"]
        .as_array()
        .and_then(|list| list.iter().find(|meta| meta["id"] == tool_use_id))
        .unwrap_or(&Value::Null);
    let decision = &meta["permission_decision"];
    let status = if matches!(meta["non_execution_kind"].as_str(), Some("permission-rule" | "user-rejected")) {
        ToolCallStatus::Denied
    } else if block["is_error"] == true {
        ToolCallStatus::Failed
    } else {
        ToolCallStatus::Completed
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    ToolOutcome {
        tool_use_id: tool_use_id.to_owned(),
        tool_output: block["content"].clone(),
        status,
        permission_decision: text(&decision["decision"]),
        permission_reason: text(&decision["source"]),
    }
}

fn plain_text(frame: &Frame) -> String {
    joined(frame.blocks(), "text").unwrap_or_default()
}

fn joined(blocks: &[Value], kind: &str) -> Option<String> {
    let texts: Vec<&str> = blocks
        .iter()
        .filter(|block| block["type"] == kind)
        .filter_map(|block| block[kind].as_str())
        .collect();
    (!texts.is_empty()).then(|| texts.concat())
}

fn pick(raw: &Value, what: &str, fields: &[&str]) -> Value {
    let mut picked = json!({ "what": what });
    for field in fields.iter().filter(|field| !raw[**field].is_null()) {
        picked[*field] = raw[*field].clone();
    }
    picked
}
