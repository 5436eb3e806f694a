//! One scripted agent as a test sees it: what it was told, and a hand on it.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::frames;
use crate::{error::Exit, launcher::Invocation, wire::write_line};

/// A scripted agent. Clones are the same agent.
#[derive(Clone)]
pub struct ScriptedAgent(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) invocation: Invocation,
    pub(super) session_id: String,
    pub(super) received: watch::Sender<Vec<Value>>,
    pub(super) ended: watch::Sender<Option<Exit>>,
    /// Where what it says goes; `None` once it has ended.
    pub(super) out: Mutex<Option<mpsc::UnboundedSender<Vec<u8>>>>,
    pub(super) asked: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    pub(super) leave: watch::Sender<Option<Exit>>,
    /// Told when the gate ended the running turn.
    pub(super) turn_over: tokio::sync::Notify,
    pub(super) request_next: AtomicU64,
    pub(super) result_next: AtomicU64,
}

impl ScriptedAgent {
    /// How it was started.
    pub fn invocation(&self) -> &Invocation {
        &self.0.invocation
    }

    /// Its arguments as texts.
    pub fn args(&self) -> Vec<String> {
        let args = self.0.invocation.args.iter();
        args.map(|arg| arg.to_string_lossy().into_owned()).collect()
    }

    /// The id of its session.
    pub fn session_id(&self) -> &str {
        &self.0.session_id
    }

    /// Every frame the host wrote, in order.
    pub fn received(&self) -> Vec<Value> {
        self.0.received.borrow().clone()
    }

    /// The prompts it was given, oldest first.
    pub fn prompts(&self) -> Vec<Value> {
        let received = self.0.received.borrow();
        let prompts = received.iter().filter(|frame| frame["type"] == "user");
        prompts.cloned().collect()
    }

    /// The bodies of the control requests of one kind, oldest first.
    pub fn controls(&self, subtype: &str) -> Vec<Value> {
        let received = self.0.received.borrow();
        received
            .iter()
            .filter(|frame| frame["type"] == "control_request")
            .filter(|frame| frame["request"]["subtype"] == subtype)
            .map(|frame| frame["request"].clone())
            .collect()
    }

    /// What the host answered to the agent's own requests, oldest first.
    pub fn answers(&self) -> Vec<Value> {
        let received = self.0.received.borrow();
        received
            .iter()
            .filter(|frame| frame["type"] == "control_response")
            .map(|frame| frame["response"].clone())
            .collect()
    }

    /// Waits until what the host wrote satisfies a condition, or the agent has ended.
    /// Cancel safe.
    pub async fn wait_for(&self, is_enough: impl Fn(&[Value]) -> bool) {
        let mut received = self.0.received.subscribe();
        let mut ended = self.0.ended.subscribe();
        // Both senders live as long as this handle; neither wait can fail.
        tokio::select! {
            _ = received.wait_for(|frames| is_enough(frames)) => {}
            _ = ended.wait_for(Option::is_some) => {}
        }
    }

    /// Says any frame, also outside a turn.
    pub fn say(&self, frame: &Value) {
        self.say_bytes(write_line(frame));
    }

    /// Says a turn nobody asked for, as when a background task has finished.
    pub fn wake(&self, text: &str) {
        let index = self.0.result_next.fetch_add(1, Ordering::Relaxed);
        let mut result = frames::result(&self.0.session_id, &Value::Null, index, text);
        frames::overlay(
            &mut result,
            json!({
                "origin": { "kind": "task-notification" },
                "user_message_uuid": null, "user_message_uuids": null,
            }),
        );
        let block = json!({ "type": "text", "text": text });
        let message_id = format!("msg_{}", Uuid::new_v4().simple());
        self.say(&frames::assistant(&self.0.session_id, &message_id, block));
        self.say(&result);
    }

    /// Writes raw bytes; they should end with a newline.
    pub fn say_bytes(&self, bytes: Vec<u8>) {
        if let Some(out) = &*lock(&self.0.out) {
            // An agent whose host is gone talks to nobody.
            let _ = out.send(bytes);
        }
    }

    /// Exits, after what was said so far.
    pub fn exit(&self, code: i32, stderr: &str) {
        self.0.leave.send_replace(Some(Exit {
            code: Some(code),
            signal: None,
            stderr_tail: stderr.to_owned(),
            ..Exit::default()
        }));
    }

    /// Dies as if killed from outside.
    pub fn die(&self) {
        self.0.leave.send_replace(Some(Exit {
            code: None,
            signal: Some(nix::libc::SIGKILL),
            ..Exit::default()
        }));
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        self.0.ended.borrow().is_none()
    }

    /// Waits until it has ended.
    /// Cancel safe.
    pub async fn ended(&self) -> Exit {
        let mut ended = self.0.ended.subscribe();
        let exit = ended.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| exit.clone()).unwrap_or_default()
    }

    /// Asks the host something and waits for the inside of its answer.
    pub(super) async fn ask(&self, request: Value) -> Value {
        let number = self.0.request_next.fetch_add(1, Ordering::Relaxed);
        let request_id = format!("agent_{number}");
        let (answer, answered) = oneshot::channel();
        lock(&self.0.asked).insert(request_id.clone(), answer);
        self.say(&json!({
            "type": "control_request", "request_id": request_id, "request": request,
        }));
        match answered.await {
            Ok(answer) => answer,
            // Withdrawn by an interrupt or lost with the agent: the script is about to be dropped.
            Err(_) => std::future::pending().await,
        }
    }

    /// Hands an answer of the host to who asked.
    pub(super) fn answered(&self, response: &Value) {
        let request_id = response["request_id"].as_str().unwrap_or_default();
        let waiting = lock(&self.0.asked).remove(request_id);
        if let Some(waiting) = waiting {
            let payload = match response["subtype"].as_str() {
                Some("success") => response["response"].clone(),
                _ => json!({ "error": response["error"] }),
            };
            // A script that was dropped does not wait.
            let _ = waiting.send(payload);
        }
    }

    /// Withdraws everything the host was asked.
    pub(super) fn withdraw_all(&self) {
        let asked: Vec<String> = lock(&self.0.asked).drain().map(|(id, _)| id).collect();
        for request_id in asked {
            self.say(&json!({ "type": "control_cancel_request", "request_id": request_id }));
        }
    }

    /// The hooks the host registered for an event and a tool: their callback ids.
    pub(super) fn hook_ids(&self, event: &str, tool_name: &str) -> Vec<Value> {
        let initialize = self.controls("initialize").pop().unwrap_or_default();
        let entries = initialize["hooks"][event].as_array().cloned();
        let matches = |entry: &&Value| match entry["matcher"].as_str() {
            Some(matcher) => matcher.split('|').any(|name| name == tool_name),
            None => true,
        };
        entries
            .unwrap_or_default()
            .iter()
            .filter(matches)
            .filter_map(|entry| entry["hookCallbackIds"].as_array().cloned())
            .flatten()
            .collect()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for ScriptedAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedAgent")
            .field("session_id", &self.0.session_id)
            .field("ended", &*self.0.ended.borrow())
            .finish_non_exhaustive()
    }
}
