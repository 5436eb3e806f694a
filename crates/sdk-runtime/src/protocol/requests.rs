//! Requests of the agent that wait for an answer of the host.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::{dialog::UserDialog, elicitation::ElicitationQuestion, gate::ToolQuestion, hook::HookInput};

/// A request to bring before the seams.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its id, for the answer.
    pub request_id: String,
    /// What it asks.
    pub kind: RequestKind,
}

/// What the agent asks.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestKind {
    /// May this tool run?
    CanUseTool(ToolQuestion),
    /// What does this hook say?
    HookCallback {
        /// Which registration.
        callback_id: String,
        /// What happened.
        input: HookInput,
    },
    /// A JSON-RPC message for an MCP server inside this process.
    McpMessage {
        /// Which server.
        server_name: String,
        /// The message, of whatever shape.
        message: Value,
    },
    /// An MCP server wants an answer from a person.
    Elicitation(ElicitationQuestion),
    /// The agent wants to show a dialog.
    UserDialog(UserDialog),
    /// Something this crate does not know.
    Unknown {
        /// What the agent calls it.
        subtype: String,
    },
}

/// The host's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The payload the request asks for.
    Success(Value),
    /// It cannot be answered. For a tool call this is a no.
    Error(String),
}

impl Answer {
    pub(super) fn into_frame(self, request_id: &str) -> Value {
        let response = match self {
            Self::Success(response) => {
                json!({ "subtype": "success", "request_id": request_id, "response": response })
            }
            Self::Error(error) => json!({ "subtype": "error", "request_id": request_id, "error": error }),
        };
        json!({ "type": "control_response", "response": response })
    }
}

/// The open requests by id.
#[derive(Debug)]
pub(super) struct Requests {
    open: HashSet<String>,
    open_max: usize,
}

/// Whether a request was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    Yes,
    AlreadyOpen,
    TooMany,
}

impl RequestKind {
    fn unknown(subtype: &str) -> Self {
        Self::Unknown { subtype: subtype.to_owned() }
    }

    pub(super) fn read(mut raw: Value) -> Self {
        let mut request = raw["request"].take();
        match request["subtype"].as_str().unwrap_or_default() {
            "can_use_tool" => Self::CanUseTool(ToolQuestion::read(request)),
            "hook_callback" => {
                let text = |key: &str| request[key].as_str().map(str::to_owned);
                let callback_id = text("callback_id").unwrap_or_default();
                let tool_use_id = text("tool_use_id");
                Self::HookCallback {
                    callback_id,
                    input: HookInput::read(request["input"].take(), tool_use_id),
                }
            }
            "mcp_message" => Self::McpMessage {
                server_name: request["server_name"].as_str().unwrap_or_default().to_owned(),
                message: request["message"].take(),
            },
            "elicitation" => Self::Elicitation(ElicitationQuestion::read(request)),
            "request_user_dialog" => Self::UserDialog(UserDialog::read(request)),
            subtype => Self::unknown(subtype),
        }
    }
}

impl Requests {
    pub(super) fn new(open_max: usize) -> Self {
        Self { open: HashSet::new(), open_max }
    }

    pub(super) fn is_open(&self, request_id: &str) -> bool {
        self.open.contains(request_id)
    }

    pub(super) fn open(&mut self, request_id: &str) -> Opened {
        if self.is_open(request_id) {
            return Opened::AlreadyOpen;
        }
        if self.open.len() >= self.open_max {
            return Opened::TooMany;
        }
        self.open.insert(request_id.to_owned());
        Opened::Yes
    }

    /// Whether it was open.
    pub(super) fn close(&mut self, request_id: &str) -> bool {
        self.open.remove(request_id)
    }

    pub(super) fn take_all(&mut self) -> Vec<String> {
        self.open.drain().collect()
    }
}
