//! External servers: how the CLI starts or dials them. Their secrets do not show in `Debug`.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde_json::{Map, Value, json};

use crate::hidden::Names;

/// What the agent does before it calls one tool of a server. Asking and denying outrank allow rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum McpPermission {
    /// Calls it without asking. The agent ignores this for in-process servers that come at run time.
    AlwaysAllow,
    /// Asks the gate before every call.
    AlwaysAsk,
    /// Refuses every call.
    AlwaysDeny,
}

/// What servers of all kinds have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Common {
    pub(crate) timeout: Option<Duration>,
    pub(crate) permissions: BTreeMap<String, McpPermission>,
    pub(crate) always_load: bool,
}

/// A server that the CLI starts and speaks to through pipes.
#[derive(Clone, PartialEq, Eq)]
pub struct McpStdioServer {
    command: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    common: Common,
}

/// A server that the CLI reaches over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct McpRemoteServer {
    kind: Kind,
    url: String,
    headers: BTreeMap<String, String>,
    common: Common,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Sse,
}

impl McpPermission {
    fn wire(self) -> &'static str {
        match self {
            Self::AlwaysAllow => "always_allow",
            Self::AlwaysAsk => "always_ask",
            Self::AlwaysDeny => "always_deny",
        }
    }
}

impl Common {
    /// The fields as the CLI reads them, with this time-out in place of the own one.
    pub(crate) fn write(&self, timeout: Option<Duration>, wire: &mut Map<String, Value>) {
        if let Some(timeout) = timeout {
            let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            wire.insert("timeout".into(), millis.into());
        }
        if !self.permissions.is_empty() {
            let tools = self.permissions.iter();
            let tools =
                tools.map(|(name, policy)| json!({ "name": name, "permission_policy": policy.wire() }));
            wire.insert("tools".into(), tools.collect());
        }
    }

    fn write_external(&self, wire: &mut Map<String, Value>) {
        self.write(self.timeout, wire);
        if self.always_load {
            wire.insert("alwaysLoad".into(), true.into());
        }
    }
}

impl McpStdioServer {
    /// A server started by this command: a path, or a name looked up in the agent's `PATH`.
    pub fn new(command: impl Into<String>) -> Self {
        Self { command: command.into(), args: Vec::new(), env: BTreeMap::new(), common: Common::default() }
    }

    /// Adds arguments. They are visible to every process of the machine, so secrets belong in the environment.
    #[must_use]
    pub fn with_args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable of the server's environment.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Bounds each call; progress does not extend it. The CLI ignores less than a second.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.common.timeout = Some(timeout);
        self
    }

    /// Shows all tools to the model from the first turn on, in place of on demand. The start then waits for
    /// the server, five seconds at most.
    #[must_use]
    pub fn always_load(mut self) -> Self {
        self.common.always_load = true;
        self
    }

    pub(crate) fn to_wire(&self) -> Value {
        let mut wire = Map::new();
        wire.insert("type".into(), "stdio".into());
        wire.insert("command".into(), self.command.clone().into());
        wire.insert("args".into(), self.args.clone().into());
        wire.insert("env".into(), json!(self.env));
        self.common.write_external(&mut wire);
        Value::Object(wire)
    }
}

impl McpRemoteServer {
    /// A server behind streamable HTTP.
    pub fn http(url: impl Into<String>) -> Self {
        Self::new(Kind::Http, url.into())
    }

    /// A server behind the older pair of an event stream and posts.
    pub fn sse(url: impl Into<String>) -> Self {
        Self::new(Kind::Sse, url.into())
    }

    fn new(kind: Kind, url: String) -> Self {
        Self { kind, url, headers: BTreeMap::new(), common: Common::default() }
    }

    /// Sets one header of every request, such as `Authorization`.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Bounds each call; progress does not extend it. The CLI ignores less than a second.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.common.timeout = Some(timeout);
        self
    }

    /// What the agent does before it calls this tool; the name is the server's own.
    #[must_use]
    pub fn with_tool_permission(mut self, tool: impl Into<String>, permission: McpPermission) -> Self {
        self.common.permissions.insert(tool.into(), permission);
        self
    }

    /// Shows all tools to the model from the first turn on, in place of on demand. The start then waits for
    /// the server, five seconds at most.
    #[must_use]
    pub fn always_load(mut self) -> Self {
        self.common.always_load = true;
        self
    }

    pub(crate) fn permissions(&self) -> &BTreeMap<String, McpPermission> {
        &self.common.permissions
    }

    pub(crate) fn to_wire(&self) -> Value {
        let kind = match self.kind {
            Kind::Http => "http",
            Kind::Sse => "sse",
        };
        let mut wire = Map::new();
        wire.insert("type".into(), kind.into());
        wire.insert("url".into(), self.url.clone().into());
        if !self.headers.is_empty() {
            wire.insert("headers".into(), json!(self.headers));
        }
        self.common.write_external(&mut wire);
        Value::Object(wire)
    }
}

impl fmt::Debug for McpStdioServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpStdioServer")
            .field("command", &self.command)
            .field("args", &format_args!("{} of them", self.args.len()))
            .field("env", &Names(&self.env))
            .field("common", &self.common)
            .finish()
    }
}

impl fmt::Debug for McpRemoteServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpRemoteServer")
            .field("kind", &self.kind)
            .field("url", &origin(&self.url))
            .field("headers", &Names(&self.headers))
            .field("common", &self.common)
            .finish()
    }
}

/// Scheme and host of a URL; user, path and query may hold secrets.
fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let stdio = McpStdioServer::new("run").with_args(["--key=hush"]).with_env("TOKEN", "hush");
        let remote = McpRemoteServer::sse("https://hush:hush@example.com/hush?key=hush#hush")
            .with_header("Authorization", "Bearer hush");
        let shown = format!("{stdio:?} {remote:#?}");
        assert!(!shown.contains("hush"), "{shown}");
        for kept in ["TOKEN", "Authorization", "https://example.com", "Sse", "\"run\""] {
            assert!(shown.contains(kept), "{shown}");
        }
    }

    #[test]
    fn the_wire_form_is_that_of_the_cli() {
        let stdio = McpStdioServer::new("run").with_args(["-x"]).with_env("A", "b").always_load();
        let wanted = json!({
            "type": "stdio", "command": "run", "args": ["-x"], "env": { "A": "b" }, "alwaysLoad": true,
        });
        assert_eq!(stdio.to_wire(), wanted);
        let remote = McpRemoteServer::http("http://h/")
            .with_header("K", "v")
            .with_timeout(Duration::from_secs(3))
            .with_tool_permission("rm", McpPermission::AlwaysDeny);
        let wanted = json!({
            "type": "http", "url": "http://h/", "headers": { "K": "v" }, "timeout": 3000,
            "tools": [{ "name": "rm", "permission_policy": "always_deny" }],
        });
        assert_eq!(remote.to_wire(), wanted);
    }
}
