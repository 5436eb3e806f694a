//! The in-process servers of one agent: which there are, and whom a message is for.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, mem,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all, ready},
};
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, MutexGuard, mpsc, watch};

use super::{
    McpServer, McpServerConfig,
    jsonrpc::{self, Incoming, Request},
    upstream::Upstream,
};
use crate::{driver::Command, protocol::Answer, writer::Rooms};

/// One server as one agent uses it.
pub(super) trait Session: Send + Sync {
    /// Takes a request in, in the order of the wire; the future brings the answer as JSON-RPC. When the
    /// future is dropped, the request is withdrawn.
    fn request(&self, request: Request) -> BoxFuture<'static, Value>;

    /// Takes a notification in.
    fn notify(&self, message: Value);

    /// Takes in the answer to a request of the server.
    fn respond(&self, message: Value);

    /// What the server would say in a handshake, or `None` when it cannot be had
    /// within this time.
    fn manifest(&self, patience: Duration) -> BoxFuture<'static, Option<Manifest>>;
}

/// The handshake of a server, held beforehand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manifest {
    pub(super) initialize: Value,
    /// Missing when the list comes in pages or not in time; the agent asks for it itself then.
    pub(super) tools: Option<Value>,
}

/// The sessions of one agent.
pub(crate) struct Sessions {
    open: RwLock<HashMap<String, Entry>>,
    upstream: Upstream,
    ready: watch::Sender<bool>,
    /// One change of the set at a time, because a refused one is taken back.
    changing: Mutex<()>,
}

#[derive(Clone)]
struct Entry {
    server: McpServer,
    session: Arc<dyn Session>,
}

/// A set of sessions that was replaced, and comes back unless the new one is kept.
pub(crate) struct Replaced<'a> {
    sessions: &'a Sessions,
    old: Option<HashMap<String, Entry>>,
    _changing: MutexGuard<'a, ()>,
}

impl Sessions {
    /// Opens sessions for the in-process ones among these servers.
    pub(crate) fn open(
        servers: &BTreeMap<String, McpServerConfig>,
        commands: mpsc::WeakUnboundedSender<Command>,
        rooms: Rooms,
    ) -> Self {
        let (upstream, ready) = Upstream::new(commands, rooms);
        let sessions = Self { open: RwLock::default(), upstream, ready, changing: Mutex::default() };
        let open = sessions.opened(servers, &HashMap::new());
        sessions.swap(open);
        sessions
    }

    /// The body of `initialize` with what concerns these servers. A server that is slow to introduce itself
    /// is waited for no longer than `patience`; the agent asks it itself then.
    pub(crate) async fn introduce(&self, mut body: Value, patience: Duration) -> Value {
        let mut entries: Vec<_> = self.entries().into_iter().collect();
        if entries.is_empty() {
            return body;
        }
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        let manifests = entries.iter().map(|(_, entry)| entry.session.manifest(patience));
        let manifests = join_all(manifests).await;
        let (mut configs, mut captured) = (Map::new(), Map::new());
        for ((name, entry), manifest) in entries.iter().zip(manifests) {
            let settings = entry.server.settings();
            if !settings.is_empty() {
                configs.insert(name.clone(), settings.into());
            }
            match manifest {
                Some(manifest) => {
                    captured.insert(name.clone(), manifest.into_wire());
                }
                None => {
                    tracing::warn!(server = %name, "an MCP server did not introduce itself in time");
                }
            }
        }
        let names: Vec<_> = entries.into_iter().map(|(name, _)| name).collect();
        body["sdkMcpServers"] = names.into();
        if !configs.is_empty() {
            body["sdkMcpServerConfigs"] = configs.into();
        }
        if !captured.is_empty() {
            body["sdkMcpServerManifests"] = captured.into();
        }
        body
    }

    /// The agent has answered `initialize`: servers may speak to it from here on.
    pub(crate) fn ready(&self, answer: &Value) {
        for (name, became) in answer["sdk_mcp_manifests_parked"].as_object().into_iter().flatten() {
            if became != "parked" {
                tracing::debug!(server = %name, %became, "the agent repeats an MCP handshake");
            }
        }
        self.ready.send_replace(true);
    }

    /// Takes a message in, in the order of the wire; the future brings the answer.
    pub(crate) fn take(&self, server_name: &str, message: Value) -> BoxFuture<'static, Answer> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let session = open.get(server_name).map(|entry| Arc::clone(&entry.session));
        drop(open);
        let Some(session) = session else {
            let answer = Answer::Error(format!("no MCP server {server_name} runs in this host"));
            return ready(answer).boxed();
        };
        let answer = match jsonrpc::read(message) {
            Incoming::Request(request) => return session.request(request).map(wrap).boxed(),
            Incoming::Notification(message) => {
                session.notify(message);
                jsonrpc::acknowledgement()
            }
            Incoming::Response(message) => {
                session.respond(message);
                jsonrpc::acknowledgement()
            }
            Incoming::Invalid(answer) => answer,
        };
        ready(wrap(answer)).boxed()
    }

    /// Replaces the set, before the agent is asked to do the same: what to tell it of the in-process ones.
    /// Sessions of servers that stay go on.
    pub(crate) async fn replace(
        &self,
        servers: &BTreeMap<String, McpServerConfig>,
    ) -> (Map<String, Value>, Replaced<'_>) {
        let changing = self.changing.lock().await;
        let old = self.entries();
        let mut open = self.opened(servers, &old);
        let wire = open.iter().map(|(name, entry)| {
            let mut wire = entry.server.settings();
            wire.insert("type".into(), "sdk".into());
            wire.insert("name".into(), name.clone().into());
            (name.clone(), wire.into())
        });
        let wire = wire.collect();
        // Those that go still answer until the agent has let go of them.
        for (name, entry) in &old {
            open.entry(name.clone()).or_insert_with(|| entry.clone());
        }
        self.swap(open);
        (wire, Replaced { sessions: self, old: Some(old), _changing: changing })
    }

    /// Ends all sessions; messages are answered with an error from here on.
    pub(crate) fn close(&self) {
        drop(self.swap(HashMap::new()));
    }

    fn opened(
        &self,
        servers: &BTreeMap<String, McpServerConfig>,
        old: &HashMap<String, Entry>,
    ) -> HashMap<String, Entry> {
        let open = |(name, config): (&String, &McpServerConfig)| {
            let McpServerConfig::InProcess(server) = config else {
                return None;
            };
            let entry = match old.get(name) {
                Some(entry) if entry.server.is_same(server) => entry.clone(),
                Some(_) | None => {
                    let session = server.open(name, self.upstream.clone());
                    Entry { server: server.clone(), session }
                }
            };
            Some((name.clone(), entry))
        };
        servers.iter().filter_map(open).collect()
    }

    fn entries(&self) -> HashMap<String, Entry> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn swap(&self, open: HashMap<String, Entry>) -> HashMap<String, Entry> {
        mem::replace(&mut self.open.write().unwrap_or_else(PoisonError::into_inner), open)
    }
}

impl Replaced<'_> {
    /// The agent took the new set: only these stay.
    pub(crate) fn keep(mut self, servers: &BTreeMap<String, McpServerConfig>) {
        self.old = None;
        let mut open = self.sessions.open.write().unwrap_or_else(PoisonError::into_inner);
        open.retain(|name, _| matches!(servers.get(name), Some(McpServerConfig::InProcess(_))));
    }
}

impl Drop for Replaced<'_> {
    fn drop(&mut self) {
        if let Some(old) = self.old.take() {
            self.sessions.swap(old);
        }
    }
}

impl Manifest {
    fn into_wire(self) -> Value {
        let mut wire = json!({ "initializeResult": self.initialize });
        if let Some(tools) = self.tools {
            wire["toolsListResult"] = tools;
        }
        wire
    }
}

fn wrap(answer: Value) -> Answer {
    Answer::Success(json!({ "mcp_response": answer }))
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(open.keys()).finish()
    }
}
