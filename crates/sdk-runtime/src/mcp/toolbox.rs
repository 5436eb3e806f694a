//! The tools of a server, and a session that answers from them directly: no handshake, no loop, one task per
//! call, which the driver starts.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, ready},
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::AbortHandle};
use tracing::Instrument as _;

use super::{
    Tool, ToolCall, ToolError,
    calls::{Calls, Seat},
    jsonrpc::{self, Request},
    output::Failure,
    server::Terms,
    sessions::{Manifest, Session},
};
use crate::task;

/// The tools of a server, which may change while agents use them.
pub(super) struct Toolbox {
    contents: RwLock<Contents>,
    version: watch::Sender<u64>,
}

struct Contents {
    /// Few, and in the order in which they are shown.
    tools: Vec<Tool>,
    server_info: Value,
    instructions: Option<String>,
}

/// The use of a toolbox by one agent.
pub(super) struct ToolSession {
    tools: Arc<Toolbox>,
    terms: Terms,
    calls: Arc<Calls>,
    announcer: AbortHandle,
}

impl Toolbox {
    pub(super) fn new(name: String) -> Self {
        let server_info = json!({ "name": name, "version": env!("CARGO_PKG_VERSION") });
        let contents = Contents { tools: Vec::new(), server_info, instructions: None };
        Self { contents: RwLock::new(contents), version: watch::Sender::new(0) }
    }

    pub(super) fn describe(&self, field: &str, text: String) {
        self.change(|contents| match field {
            "instructions" => contents.instructions = Some(text),
            _ => contents.server_info[field] = text.into(),
        });
    }

    pub(super) fn put(&self, tool: Tool) {
        self.change(|contents| match contents.tools.iter_mut().find(|old| old.name() == tool.name()) {
            Some(old) => *old = tool,
            None => contents.tools.push(tool),
        });
    }

    pub(super) fn remove(&self, name: &str) -> bool {
        self.change(|contents| {
            let before = contents.tools.len();
            contents.tools.retain(|tool| tool.name() != name);
            contents.tools.len() < before
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<Tool> {
        self.read(|contents| contents.tools.iter().find(|tool| tool.name() == name).cloned())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.read(|contents| contents.tools.iter().map(|tool| tool.name().to_owned()).collect())
    }

    fn read<T>(&self, look: impl FnOnce(&Contents) -> T) -> T {
        look(&self.contents.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        let changed = change(&mut self.contents.write().unwrap_or_else(PoisonError::into_inner));
        self.version.send_modify(|version| *version += 1);
        changed
    }
}

impl ToolSession {
    pub(super) fn open(tools: Arc<Toolbox>, terms: Terms) -> Self {
        let mut version = tools.version.subscribe();
        let (upstream, name) = (terms.upstream.clone(), Arc::clone(&terms.name));
        let announcer = task::spawn(async move {
            upstream.ready().await;
            // Ends when the tools are gone, and is aborted with the session.
            while version.changed().await.is_ok() {
                let changed = jsonrpc::notification("notifications/tools/list_changed", json!({}));
                upstream.tell(&name, changed).await;
            }
        });
        let calls = Calls::new(terms.calls_max);
        Self { tools, terms, calls, announcer: announcer.abort_handle() }
    }

    fn initialized(&self, requested: &Value) -> Value {
        let version = requested.as_str().unwrap_or(jsonrpc::PROTOCOL_VERSION);
        self.tools.read(|contents| {
            let mut result = json!({
                "protocolVersion": version,
                "capabilities": { "tools": { "listChanged": true } },
                "serverInfo": contents.server_info,
            });
            if let Some(instructions) = &contents.instructions {
                result["instructions"] = instructions.clone().into();
            }
            result
        })
    }

    fn listed(&self) -> Value {
        let list = |tool: &Tool| {
            let mut wire = Value::Object(tool.wire().clone());
            if self.terms.always_load {
                wire["_meta"]["anthropic/alwaysLoad"] = true.into();
            }
            wire
        };
        self.tools.read(|contents| json!({ "tools": contents.tools.iter().map(list).collect::<Value>() }))
    }

    /// Begins a call here and now, so that a withdrawal that comes next finds it.
    fn call(&self, id: Value, mut params: Value) -> BoxFuture<'static, Value> {
        let refuse = |code, why: &str| ready(jsonrpc::error(&id, code, why)).boxed();
        let Some(name) = params["name"].as_str().map(str::to_owned) else {
            return refuse(jsonrpc::INVALID_PARAMS, "a tool call names its tool");
        };
        let Some(tool) = self.tools.find(&name) else {
            return refuse(jsonrpc::INVALID_PARAMS, &format!("no tool is named {name}"));
        };
        let input = match params["arguments"].take() {
            Value::Null => json!({}),
            input @ Value::Object(_) => input,
            _ => return refuse(jsonrpc::INVALID_PARAMS, "the arguments of a tool are an object"),
        };
        let Some(seat) = self.calls.begin(&id) else {
            return refuse(jsonrpc::UNAVAILABLE, "too many calls of this server are open");
        };
        let meta = params["_meta"].take();
        let token = seat.token().clone();
        let span = tracing::debug_span!("mcp_call", server = %self.terms.name, tool = %name);
        let call =
            ToolCall::new(Arc::clone(&self.terms.name), name, meta, token, self.terms.upstream.clone());
        run(id, tool, input, call, seat, self.terms.timeout).instrument(span).boxed()
    }
}

/// Runs a tool until it has an answer, or nobody wants one.
async fn run(
    id: Value,
    tool: Tool,
    input: Value,
    call: ToolCall,
    seat: Seat,
    timeout: Option<Duration>,
) -> Value {
    let handler = AssertUnwindSafe(async { tool.run(input, call).await }).catch_unwind();
    let timed = async {
        match timeout {
            None => Some(handler.await),
            Some(timeout) => tokio::time::timeout(timeout, handler).await.ok(),
        }
    };
    let outcome = tokio::select! {
        biased;
        () = seat.token().cancelled() => None,
        outcome = timed => Some(outcome),
    };
    match outcome {
        Some(Some(Ok(Ok(output)))) => {
            seat.finish();
            jsonrpc::result(&id, output.into_wire())
        }
        Some(Some(Ok(Err(ToolError(Failure::Tool(output)))))) => {
            seat.finish();
            jsonrpc::result(&id, output.into_wire())
        }
        Some(Some(Ok(Err(ToolError(Failure::Protocol { code, message }))))) => {
            seat.finish();
            jsonrpc::error(&id, code, &message)
        }
        Some(Some(Err(_panic))) => jsonrpc::error(&id, jsonrpc::INTERNAL_ERROR, "the tool broke down"),
        Some(None) => {
            let within = timeout.unwrap_or_default();
            let error = ToolError::new(format!("the tool did not answer within {within:?} and was stopped"));
            match error.0 {
                Failure::Tool(output) => jsonrpc::result(&id, output.into_wire()),
                Failure::Protocol { code, message } => jsonrpc::error(&id, code, &message),
            }
        }
        // The agent no longer waits; the answer only clears its books and ours.
        None => jsonrpc::error(&id, jsonrpc::CANCELLED, "the call was withdrawn"),
    }
}

impl Session for ToolSession {
    fn request(&self, request: Request) -> BoxFuture<'static, Value> {
        let Request { id, method, params } = request;
        let answer = match method.as_str() {
            "tools/call" => return self.call(id, params),
            "initialize" => jsonrpc::result(&id, self.initialized(&params["protocolVersion"])),
            "tools/list" => jsonrpc::result(&id, self.listed()),
            "ping" => jsonrpc::result(&id, json!({})),
            method => jsonrpc::error(
                &id,
                jsonrpc::METHOD_NOT_FOUND,
                &format!("this server does not know the method {method}"),
            ),
        };
        ready(answer).boxed()
    }

    fn notify(&self, message: Value) {
        if message["method"] == "notifications/cancelled" {
            self.calls.cancel(&message["params"]["requestId"]);
        }
    }

    /// It asks nothing, so nobody waits for an answer.
    fn respond(&self, _message: Value) {}

    fn manifest(&self, _patience: Duration) -> BoxFuture<'static, Option<Manifest>> {
        let manifest = Manifest { initialize: self.initialized(&Value::Null), tools: Some(self.listed()) };
        ready(Some(manifest)).boxed()
    }
}

impl Drop for ToolSession {
    fn drop(&mut self) {
        self.announcer.abort();
        self.calls.cancel_all();
    }
}
