//! A session with an `rmcp` service: its own loop runs over a transport in memory, and this file puts the
//! agent's requests in under numbers of our own and waits for their answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, ready},
};
use rmcp::{
    RoleServer, ServiceExt as _,
    service::{DynService, RxJsonRpcMessage},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    calls::{Calls, Seat},
    jsonrpc::{self, Request},
    server::Terms,
    sessions::{Manifest, Session},
    transport::{self, Shared},
};
use crate::{clock, task};

/// The use of a service by one agent.
pub(super) struct ServiceSession {
    core: Arc<Core>,
    _ends: DropGuard,
}

/// What requests outlive their session with.
struct Core {
    wires: Arc<Wires>,
    terms: Terms,
    calls: Arc<Calls>,
}

/// Both ends of the service's transport.
pub(super) struct Wires {
    inbound: mpsc::UnboundedSender<RxJsonRpcMessage<RoleServer>>,
    /// Who waits for an answer, by our own number; `None` once the service has ended.
    waiting: Mutex<Option<HashMap<i64, oneshot::Sender<Value>>>>,
}

/// A request in the service's hands. Dropped unanswered, it is withdrawn.
struct Pending {
    wires: Arc<Wires>,
    seat: Option<Seat>,
}

impl ServiceSession {
    pub(super) fn open(service: Box<dyn DynService<RoleServer>>, terms: Terms) -> Self {
        let (inbound, to_service) = mpsc::unbounded_channel();
        let wires = Arc::new(Wires { inbound, waiting: Mutex::new(Some(HashMap::new())) });
        let pipe = transport::pipe(to_service, Arc::clone(&wires), &terms);
        let end = CancellationToken::new();
        let (ended, name, served) = (end.clone(), Arc::clone(&terms.name), Arc::clone(&wires));
        task::spawn(async move {
            let service = Shared(Arc::new(service));
            match service.serve_with_ct(pipe, ended).await {
                Ok(running) => drop(running.waiting().await),
                Err(error) => tracing::debug!(server = %name, %error, "an MCP service did not start"),
            }
            *served.lock() = None;
        });
        let calls = Calls::new(terms.calls_max);
        Self { core: Arc::new(Core { wires, terms, calls }), _ends: end.drop_guard() }
    }
}

impl Session for ServiceSession {
    fn request(&self, request: Request) -> BoxFuture<'static, Value> {
        self.core.request(request)
    }

    fn notify(&self, message: Value) {
        if message["method"] == "notifications/cancelled" {
            // The request it means withdraws itself, under the number the service knows.
            self.core.calls.cancel(&message["params"]["requestId"]);
        } else {
            self.respond(message);
        }
    }

    fn respond(&self, message: Value) {
        self.core.wires.put(message);
    }

    fn manifest(&self, patience: Duration) -> BoxFuture<'static, Option<Manifest>> {
        let core = Arc::clone(&self.core);
        async move { core.manifest(clock::from_now(patience)).await }.boxed()
    }
}

impl Drop for ServiceSession {
    fn drop(&mut self) {
        self.core.calls.cancel_all();
    }
}

impl Core {
    fn request(&self, request: Request) -> BoxFuture<'static, Value> {
        let id = request.id.clone();
        let (pending, answered) = match self.begin(request) {
            Ok(begun) => begun,
            Err(refusal) => return ready(refusal).boxed(),
        };
        answer(id, pending, answered, self.terms.timeout).boxed()
    }

    /// Puts a request in here and now, so that a withdrawal that comes next finds it.
    fn begin(&self, request: Request) -> Result<(Pending, oneshot::Receiver<Value>), Value> {
        let Request { id, method, params } = request;
        let Some(seat) = self.calls.begin(&id) else {
            return Err(jsonrpc::error(&id, jsonrpc::UNAVAILABLE, "too many calls of this server are open"));
        };
        let key = seat.key();
        let mut message = json!({ "jsonrpc": "2.0", "id": key, "method": method });
        if !params.is_null() {
            message["params"] = params;
        }
        let (answer, answered) = oneshot::channel();
        match &mut *self.wires.lock() {
            Some(waiting) => drop(waiting.insert(key, answer)),
            None => return Err(gone(&id)),
        }
        let pending = Pending { wires: Arc::clone(&self.wires), seat: Some(seat) };
        if !self.wires.put(message) {
            return Err(jsonrpc::error(&id, jsonrpc::INVALID_PARAMS, "the request was not understood"));
        }
        Ok((pending, answered))
    }

    /// Shakes hands as the agent would.
    async fn manifest(&self, by: Instant) -> Option<Manifest> {
        let asked = |id: &str, method: &str, params: Value| {
            let request = Request { id: id.into(), method: method.to_owned(), params };
            timeout_at(by, self.request(request))
        };
        let hello = json!({
            "protocolVersion": jsonrpc::PROTOCOL_VERSION,
            "capabilities": {},
            "clientInfo": { "name": "claude-code", "title": "Claude Code", "version": env!("CARGO_PKG_VERSION") },
        });
        let mut answer = asked("manifest-initialize", "initialize", hello).await.ok()?;
        let initialize = answer["result"].take();
        if !initialize.is_object() {
            tracing::warn!(server = %self.terms.name, "an MCP service refused to initialize");
            return None;
        }
        self.wires.put(jsonrpc::notification("notifications/initialized", json!({})));
        if initialize["capabilities"]["tools"].is_null() {
            return Some(Manifest { initialize, tools: None });
        }
        let listed = asked("manifest-tools", "tools/list", Value::Null).await;
        let tools = listed.map(|mut answer| answer["result"].take()).unwrap_or_default();
        let is_whole = tools.is_object() && tools["nextCursor"].is_null();
        Some(Manifest { initialize, tools: is_whole.then_some(tools) })
    }
}

/// Waits for the answer of the service, or for the reason why there is none.
async fn answer(
    id: Value,
    mut pending: Pending,
    answered: oneshot::Receiver<Value>,
    timeout: Option<Duration>,
) -> Value {
    let token = pending.seat.as_ref().map(|seat| seat.token().clone()).unwrap_or_default();
    let timed = async {
        match timeout {
            None => Some(answered.await),
            Some(timeout) => tokio::time::timeout(timeout, answered).await.ok(),
        }
    };
    let outcome = tokio::select! {
        biased;
        () = token.cancelled() => {
            return jsonrpc::error(&id, jsonrpc::CANCELLED, "the call was withdrawn");
        }
        outcome = timed => outcome,
    };
    match outcome {
        Some(Ok(mut answer)) => {
            if let Some(seat) = pending.seat.take() {
                seat.finish();
            }
            answer["id"] = id;
            answer
        }
        Some(Err(_)) => gone(&id),
        None => {
            let why = format!("the server did not answer within {:?}", timeout.unwrap_or_default());
            jsonrpc::error(&id, jsonrpc::UNAVAILABLE, &why)
        }
    }
}

fn gone(id: &Value) -> Value {
    jsonrpc::error(id, jsonrpc::UNAVAILABLE, "the server has ended")
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(seat) = &self.seat else { return };
        let key = seat.key();
        if let Some(waiting) = &mut *self.wires.lock() {
            waiting.remove(&key);
        }
        let reason = json!({ "requestId": key, "reason": "the agent withdrew the call" });
        self.wires.put(jsonrpc::notification("notifications/cancelled", reason));
    }
}

impl Wires {
    /// Brings an answer of the service to who waits for it.
    pub(super) fn settle(&self, answer: Value) {
        let waiting = match (&mut *self.lock(), answer["id"].as_i64()) {
            (Some(waiting), Some(key)) => waiting.remove(&key),
            (None, _) | (_, None) => None,
        };
        if let Some(waiting) = waiting {
            // Whoever asked may have stopped waiting.
            let _ = waiting.send(answer);
        }
    }

    /// Gives a message to the service. Whether it was understood; a service that has ended takes everything
    /// and answers nothing, and who waits is told by its end.
    fn put(&self, message: Value) -> bool {
        match serde_json::from_value(message) {
            Ok(message) => {
                let _ = self.inbound.send(message);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "a message for an MCP service was not understood");
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<i64, oneshot::Sender<Value>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
