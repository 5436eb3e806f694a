//! An agent with a server, and the agent's side of the conversation with it.

use sdk_runtime::{
    Agent, AgentOptions, Events,
    mcp::McpServer,
    testing::{ScriptedAgent, ScriptedLauncher},
};
use serde_json::{Value, json};

/// A running agent that has one server, called `s`.
pub(crate) struct Bench {
    pub(crate) agent: Agent,
    pub(crate) scripted: ScriptedAgent,
    pub(crate) _events: Events,
}

impl Bench {
    pub(crate) async fn new(server: McpServer) -> Self {
        Self::with(ScriptedLauncher::new(), AgentOptions::default().with_mcp_server("s", server)).await
    }

    pub(crate) async fn with(launcher: ScriptedLauncher, options: AgentOptions) -> Self {
        let (agent, events) = Agent::start(&launcher, options).await.unwrap();
        Self { agent, scripted: launcher.last_agent(), _events: events }
    }

    /// The body of `initialize`.
    pub(crate) fn initialize(&self) -> Value {
        self.scripted.controls("initialize").remove(0)
    }

    /// Sends a message to a server and does not wait.
    pub(crate) fn send(&self, request_id: &str, server: &str, message: Value) {
        self.scripted.say(&json!({
            "type": "control_request", "request_id": request_id,
            "request": { "subtype": "mcp_message", "server_name": server, "message": message },
        }));
    }

    /// Waits for the answer to a message: the inside of the control response.
    pub(crate) async fn answer(&self, request_id: &str) -> Value {
        let is_answer = |frame: &Value| frame["response"]["request_id"] == request_id;
        self.scripted.wait_for(|frames| frames.iter().any(is_answer)).await;
        self.scripted.answers().into_iter().find(|answer| answer["request_id"] == request_id).unwrap()
    }

    /// Sends a message and gives the JSON-RPC answer.
    pub(crate) async fn ask(&self, request_id: &str, message: Value) -> Value {
        self.send(request_id, "s", message);
        self.answer(request_id).await["response"]["mcp_response"].clone()
    }

    /// Whether a message was answered.
    pub(crate) fn is_answered(&self, request_id: &str) -> bool {
        self.scripted.answers().iter().any(|answer| answer["request_id"] == request_id)
    }

    /// Waits until the server has said something of its own accord: the JSON-RPC message.
    pub(crate) async fn said(&self, method: &str) -> Value {
        let is_it = |frame: &Value| frame["request"]["message"]["method"] == method;
        self.scripted.wait_for(|frames| frames.iter().any(is_it)).await;
        let said = self.scripted.controls("mcp_message").into_iter();
        said.map(|body| body["message"].clone()).find(|message| message["method"] == method).unwrap()
    }

    pub(crate) fn cancel(&self, request_id: &str) {
        self.scripted.say(&json!({ "type": "control_cancel_request", "request_id": request_id }));
    }
}

/// A `tools/call`.
pub(crate) fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    json!({
        "jsonrpc": "2.0", "id": id.into(), "method": "tools/call",
        "params": {
            "name": tool, "arguments": arguments,
            "_meta": { "claudecode/toolUseId": "toolu_1", "progressToken": 9 },
        },
    })
}

pub(crate) fn cancelled(id: impl Into<Value>) -> Value {
    json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": id.into(), "reason": "AbortError: remote-cancel" },
    })
}

/// What the agent gets for a notification.
pub(crate) fn acknowledged() -> Value {
    json!({ "jsonrpc": "2.0", "result": {} })
}
