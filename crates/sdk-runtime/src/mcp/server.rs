//! An in-process server as the host describes it; each agent that gets it opens a session of its own.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use rmcp::{RoleServer, Service, service::DynService};
use serde_json::{Map, Value};

use super::{
    McpPermission, Tool, ToolCall, ToolError, ToolOutput,
    external::Common,
    service::ServiceSession,
    sessions::Session,
    toolbox::{ToolSession, Toolbox},
    transport::Shared,
    upstream::Upstream,
};

/// Calls of one agent to one server that may be open at once, unless told otherwise.
const CALLS_MAX: usize = 256;
/// The CLI's own clock for a call runs this much longer than ours, so that ours gives the reason.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(5);

/// A server inside this process: a box of tools, or an `rmcp` service. Clones, and all agents it is given to,
/// share the tools.
#[derive(Clone)]
pub struct McpServer {
    source: Source,
    common: Common,
    calls_max: usize,
}

#[derive(Clone)]
enum Source {
    Tools(Arc<Toolbox>),
    Service(Arc<dyn Fn() -> Box<dyn DynService<RoleServer>> + Send + Sync>),
}

/// What a session needs beside its messages.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The name under which the agent knows the server.
    pub(super) name: Arc<str>,
    pub(super) timeout: Option<Duration>,
    pub(super) calls_max: usize,
    pub(super) always_load: bool,
    pub(super) upstream: Upstream,
}

impl McpServer {
    /// A server without tools; the name is what it says of itself.
    pub fn new(name: impl Into<String>) -> Self {
        Self::from_source(Source::Tools(Arc::new(Toolbox::new(name.into()))))
    }

    /// Any `rmcp` service, such as a `ServerHandler`. All agents share it; each has a session of its own.
    pub fn from_service(service: impl Service<RoleServer>) -> Self {
        let service: Arc<Box<dyn DynService<RoleServer>>> = Arc::new(Box::new(service));
        Self::from_factory(move || Shared(Arc::clone(&service)))
    }

    /// A new `rmcp` service for each agent, for services that keep the state of one client.
    pub fn from_factory<S: Service<RoleServer>>(make: impl Fn() -> S + Send + Sync + 'static) -> Self {
        Self::from_source(Source::Service(Arc::new(move || Box::new(make()))))
    }

    fn from_source(source: Source) -> Self {
        Self { source, common: Common::default(), calls_max: CALLS_MAX }
    }

    /// Adds a tool; one of the same name is replaced. Does nothing to an `rmcp` service, whose tools are its own.
    #[must_use]
    pub fn with_tool(self, tool: Tool) -> Self {
        self.put_tool(tool);
        self
    }

    /// Sets the version the server says of itself.
    #[must_use]
    pub fn with_version(self, version: impl Into<String>) -> Self {
        if let Source::Tools(tools) = &self.source {
            tools.describe("version", version.into());
        }
        self
    }

    /// Tells the model how to use the server. Does nothing to an `rmcp` service, which has instructions of its
    /// own.
    #[must_use]
    pub fn with_instructions(self, instructions: impl Into<String>) -> Self {
        if let Source::Tools(tools) = &self.source {
            tools.describe("instructions", instructions.into());
        }
        self
    }

    /// Bounds each call; progress does not extend it. Without it a call takes as long as it takes.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.common.timeout = Some(timeout);
        self
    }

    /// How many requests of one agent may be open at once, 256 unless told; further ones are answered with an
    /// error.
    #[must_use]
    pub fn with_calls_max(mut self, calls_max: usize) -> Self {
        self.calls_max = calls_max;
        self
    }

    /// What the agent does before it calls this tool; the name is the server's own.
    #[must_use]
    pub fn with_tool_permission(mut self, tool: impl Into<String>, permission: McpPermission) -> Self {
        self.common.permissions.insert(tool.into(), permission);
        self
    }

    /// Shows all tools to the model from the first turn on, in place of on demand. Does nothing to an `rmcp`
    /// service, which says so in the `_meta` of its tools.
    #[must_use]
    pub fn always_load(mut self) -> Self {
        self.common.always_load = true;
        self
    }

    /// Adds or replaces a tool now. Running agents are told that the list changed.
    pub fn put_tool(&self, tool: Tool) {
        if let Source::Tools(tools) = &self.source {
            tools.put(tool);
        }
    }

    /// Takes a tool away now; calls in progress go on. Running agents are told. Whether it was there.
    pub fn remove_tool(&self, name: &str) -> bool {
        match &self.source {
            Source::Tools(tools) => tools.remove(name),
            Source::Service(_) => false,
        }
    }

    /// Calls a tool without an agent, for tests of tools: the result as MCP writes it, or the error. Progress
    /// goes nowhere. Cancel safe: the handler is dropped.
    pub async fn call_tool(&self, name: &str, input: Value) -> Result<Value, ToolError> {
        let Source::Tools(tools) = &self.source else {
            return Err(ToolError::new("an rmcp service is called through an agent"));
        };
        let Some(tool) = tools.find(name) else {
            return Err(ToolError::new(format!("no tool is named {name}")));
        };
        let token = tokio_util::sync::CancellationToken::new();
        let _fires = token.clone().drop_guard();
        let call = ToolCall::new("test".into(), name.to_owned(), Value::Null, token, Upstream::nowhere());
        tool.run(input, call).await.map(ToolOutput::into_wire)
    }

    pub(super) fn permissions(&self) -> &BTreeMap<String, McpPermission> {
        &self.common.permissions
    }

    /// What `initialize` says of it beside its name.
    pub(super) fn settings(&self) -> Map<String, Value> {
        let mut settings = Map::new();
        let timeout = self.common.timeout.map(|timeout| timeout.saturating_add(TIMEOUT_MARGIN));
        self.common.write(timeout, &mut settings);
        settings
    }

    /// Whether both are the same tools or service under the same terms.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let is_same_source = match (&self.source, &other.source) {
            (Source::Tools(ours), Source::Tools(theirs)) => Arc::ptr_eq(ours, theirs),
            (Source::Service(ours), Source::Service(theirs)) => Arc::ptr_eq(ours, theirs),
            (Source::Tools(_), Source::Service(_)) | (Source::Service(_), Source::Tools(_)) => false,
        };
        is_same_source && self.common == other.common && self.calls_max == other.calls_max
    }

    /// Opens a session for one agent. Must be called within a tokio runtime.
    pub(super) fn open(&self, name: &str, upstream: Upstream) -> Arc<dyn Session> {
        let terms = Terms {
            name: name.into(),
            timeout: self.common.timeout,
            calls_max: self.calls_max,
            always_load: self.common.always_load,
            upstream,
        };
        match &self.source {
            Source::Tools(tools) => Arc::new(ToolSession::open(Arc::clone(tools), terms)),
            Source::Service(make) => Arc::new(ServiceSession::open(make(), terms)),
        }
    }
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Tools(tools) => format!("{:?}", tools.names()),
            Source::Service(_) => "rmcp service".to_owned(),
        };
        f.debug_struct("McpServer")
            .field("source", &format_args!("{source}"))
            .field("common", &self.common)
            .finish_non_exhaustive()
    }
}
