//! What a script can make its agent say and ask during a turn.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    frames,
    scripted_agent::{ScriptedAgent, lock},
};

/// A prompt as the agent got it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScriptedPrompt {
    /// The whole `user` frame.
    pub frame: Value,
}

/// The voice of an agent during one turn. Saying never waits.
#[derive(Debug, Clone)]
pub struct Say {
    agent: ScriptedAgent,
    prompt: Value,
    turn: Arc<Turn>,
}

#[derive(Debug)]
struct Turn {
    message_id: String,
    last_text: Mutex<String>,
    denials: Mutex<Vec<Value>>,
    has_result: AtomicBool,
}

impl ScriptedPrompt {
    /// The content as text: the string, or the text blocks one after another.
    pub fn text(&self) -> String {
        match &self.frame["message"]["content"] {
            Value::String(text) => text.clone(),
            blocks => {
                let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
                let texts = blocks.iter().filter_map(|block| block["text"].as_str());
                texts.collect()
            }
        }
    }

    /// Its id.
    pub fn id(&self) -> Option<Uuid> {
        self.frame["uuid"].as_str()?.parse().ok()
    }
}

impl Say {
    pub(super) fn new(agent: ScriptedAgent, prompt: Value) -> Self {
        Self {
            agent,
            prompt,
            turn: Arc::new(Turn {
                message_id: format!("msg_{}", Uuid::new_v4().simple()),
                last_text: Mutex::default(),
                denials: Mutex::default(),
                has_result: AtomicBool::new(false),
            }),
        }
    }

    /// The agent that speaks.
    pub fn agent(&self) -> &ScriptedAgent {
        &self.agent
    }

    /// A text delta.
    pub fn delta(&self, text: &str) {
        let session_id = self.agent.session_id();
        self.frame(&frames::delta(session_id, "text_delta", "text", text));
    }

    /// A thinking delta.
    pub fn thinking_delta(&self, text: &str) {
        let session_id = self.agent.session_id();
        self.frame(&frames::delta(session_id, "thinking_delta", "thinking", text));
    }

    /// A finished text block.
    pub fn text(&self, text: impl Into<String>) {
        let text = text.into();
        lock(&self.turn.last_text).clone_from(&text);
        self.block(json!({ "type": "text", "text": text }));
    }

    /// Any finished content block of the model.
    pub fn block(&self, block: Value) {
        let session_id = self.agent.session_id();
        self.frame(&frames::assistant(session_id, &self.turn.message_id, block));
    }

    /// A tool call without hooks or gate: the id of the call.
    pub fn tool_use(&self, name: &str, input: &Value) -> String {
        let id = format!("toolu_{}", Uuid::new_v4().simple());
        self.block(json!({ "type": "tool_use", "id": id, "name": name, "input": input }));
        id
    }

    /// The result of a tool call.
    pub fn tool_result(&self, tool_use_id: &str, content: &str) {
        self.tool_outcome(tool_use_id, content, false);
    }

    /// The result of a tool call that failed.
    pub fn tool_error(&self, tool_use_id: &str, content: &str) {
        self.tool_outcome(tool_use_id, content, true);
    }

    /// A whole tool call as the real agent makes it: PreToolUse hooks, the gate unless a hook decided, the
    /// tool with this result, PostToolUse hooks. Whether the tool ran.
    /// When it is dropped, the question stands and its answer is not heard.
    pub async fn tool(&self, name: &str, input: Value, result: &str) -> bool {
        let id = self.tool_use(name, &input);
        match self.may_run(name, &input, &id).await {
            Ok(()) => {
                self.tool_result(&id, result);
                let extra = json!({ "tool_response": { "stdout": result } });
                self.ask_hooks("PostToolUse", name, &input, &id, extra).await;
                true
            }
            Err(reason) => {
                lock(&self.turn.denials).push(json!({
                    "tool_name": name, "tool_use_id": id, "tool_input": input,
                }));
                self.tool_error(&id, &reason);
                false
            }
        }
    }

    /// Asks the gate and returns the payload of its answer, or `{"error": …}`.
    /// When it is dropped, the question stands and its answer is not heard.
    pub async fn ask_gate(&self, name: &str, input: &Value, tool_use_id: &str) -> Value {
        let request = json!({
            "subtype": "can_use_tool", "tool_name": name, "display_name": name, "input": input,
            "tool_use_id": tool_use_id, "permission_suggestions": [],
        });
        self.agent.ask(request).await
    }

    /// Calls the hooks registered for an event, all at once, and returns their outputs. `extra` holds
    /// further fields of the input.
    /// When it is dropped, the question stands and its answer is not heard.
    pub async fn ask_hooks(
        &self,
        event: &str,
        name: &str,
        input: &Value,
        tool_use_id: &str,
        extra: Value,
    ) -> Vec<Value> {
        let mut hook_input = json!({
            "session_id": self.agent.session_id(), "hook_event_name": event, "cwd": "/",
            "tool_name": name, "tool_input": input, "tool_use_id": tool_use_id,
        });
        frames::overlay(&mut hook_input, extra);
        let ids = self.agent.hook_ids(event, name);
        let asked = ids.into_iter().map(|callback_id| {
            self.agent.ask(json!({
                "subtype": "hook_callback", "callback_id": callback_id, "input": hook_input,
                "tool_use_id": tool_use_id,
            }))
        });
        join_all(asked).await
    }

    /// Asks the host anything and returns the payload of its answer, or `{"error": …}`.
    /// When it is dropped, the question stands and its answer is not heard.
    pub async fn ask(&self, request: Value) -> Value {
        self.agent.ask(request).await
    }

    /// Any frame.
    pub fn frame(&self, frame: &Value) {
        self.agent.say(frame);
    }

    /// Says no more; an interrupt, a close or a kill ends the turn.
    /// Cancel safe.
    pub async fn hang(&self) {
        std::future::pending().await
    }

    /// A result with the last text, which names this prompt.
    pub fn result(&self) {
        self.result_with(json!({}));
    }

    /// The same with these fields laid over it.
    pub fn result_with(&self, fields: Value) {
        self.turn.has_result.store(true, Ordering::Relaxed);
        let index = self.agent.0.result_next.fetch_add(1, Ordering::Relaxed);
        let text = lock(&self.turn.last_text).clone();
        let session_id = self.agent.session_id();
        let mut result = frames::result(session_id, &self.prompt, index, &text);
        result["permission_denials"] = Value::Array(lock(&self.turn.denials).clone());
        frames::overlay(&mut result, fields);
        self.frame(&result);
    }

    /// The turn fails because the model API does, after the agent's own retries.
    pub fn api_error(&self, status: u16, text: &str) {
        self.text(text);
        self.result_with(json!({
            "is_error": true, "terminal_reason": "api_error", "api_error_status": status,
        }));
    }

    /// The turn ends with `subtype`, such as `error_max_turns`.
    pub fn error_result(&self, subtype: &str, terminal_reason: &str, message: &str) {
        self.result_with(json!({
            "subtype": subtype, "is_error": true, "terminal_reason": terminal_reason,
            "result": null, "errors": [message],
        }));
    }

    /// The agent exits, after what was said so far.
    /// When it is dropped, the agent ends all the same.
    pub async fn exit(&self, code: i32, stderr: &str) {
        self.agent.exit(code, stderr);
        self.hang().await;
    }

    pub(super) fn has_result(&self) -> bool {
        self.turn.has_result.load(Ordering::Relaxed)
    }

    pub(super) fn prompt_id(&self) -> &Value {
        &self.prompt
    }

    async fn may_run(&self, name: &str, input: &Value, id: &str) -> Result<(), String> {
        let outputs = self.ask_hooks("PreToolUse", name, input, id, json!({})).await;
        let mut is_allowed = false;
        for output in outputs {
            let decision = &output["hookSpecificOutput"];
            match decision["permissionDecision"].as_str() {
                Some("deny") => {
                    let reason = decision["permissionDecisionReason"].as_str();
                    let reason = reason.unwrap_or_default();
                    return Err(format!("PreToolUse:{name} hook error: {reason}"));
                }
                Some("allow") => is_allowed = true,
                _ if output["error"].is_string() => {
                    return Err(format!("PreToolUse:{name} hook failed"));
                }
                _ => {}
            }
        }
        if is_allowed {
            return Ok(());
        }
        let answer = self.ask_gate(name, input, id).await;
        if answer["behavior"] == "allow" {
            return Ok(());
        }
        let message = answer["message"].as_str();
        let message = message.unwrap_or("Tool permission request failed");
        if answer["interrupt"] == true {
            self.result_with(frames::interruption());
            self.hang_after_interrupt().await;
        }
        Err(message.to_owned())
    }

    /// The turn is over by the gate's word; the script must not go on.
    async fn hang_after_interrupt(&self) {
        self.agent.0.turn_over.notify_one();
        self.hang().await;
    }

    fn tool_outcome(&self, tool_use_id: &str, content: &str, is_error: bool) {
        let session_id = self.agent.session_id();
        self.frame(&frames::tool_result(session_id, tool_use_id, content, is_error));
    }
}
