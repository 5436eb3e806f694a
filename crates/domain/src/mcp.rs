//! MCP servers that people have registered, so that sessions can name them.

use crate::{McpServerId, UserId, hook::SealedSecret};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A registered server.
#[derive(Debug, Clone, PartialEq)]
pub struct McpServer {
    pub id: McpServerId,
    pub user_id: UserId,
    /// Unique among its owner's, and among those that are for everybody; sessions name it in `mcp_servers`.
    pub name: String,
    pub description: Option<String>,
    pub transport: McpTransport,
    /// What a `stdio` server is started by.
    pub command: Option<String>,
    /// `${NAME}` in it stands for the secret of that name in `env`.
    pub args: Vec<String>,
    /// Variables of a `stdio` server's process, and the secrets that `${NAME}` stands for, by name.
    pub env: BTreeMap<String, SealedSecret>,
    /// Where another server is. `${NAME}` in it stands for the secret of that name in `env`.
    pub url: Option<String>,
    /// Headers of every request to it, by name in lower case.
    pub headers: BTreeMap<String, SealedSecret>,
    pub is_enabled: bool,
    /// Whether everybody's sessions may name it.
    pub is_global: bool,
    /// What the last health check found; `None` since it was made or connected otherwise.
    pub check: Option<McpCheck>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl McpServer {
    /// Whose agents may have it; `None` for everybody's.
    #[must_use]
    pub fn concerns(&self) -> Option<UserId> {
        (!self.is_global).then_some(self.user_id)
    }
}

/// What a health check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpCheck {
    pub at: Timestamp,
    pub status: McpCheckStatus,
    /// How many tools it offers; `None` if it did not say.
    pub tools_count: Option<u32>,
    /// Why it is not healthy.
    pub error: Option<String>,
}

/// What a person may change of a server; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct McpServerPatch {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub transport: Option<McpTransport>,
    pub command: Option<Option<String>>,
    pub args: Option<Vec<String>>,
    /// All that there are from now on.
    pub env: Option<BTreeMap<String, SealedSecret>>,
    pub url: Option<Option<String>>,
    /// All that there are from now on.
    pub headers: Option<BTreeMap<String, SealedSecret>>,
    pub is_enabled: Option<bool>,
    pub is_global: Option<bool>,
}

impl McpServerPatch {
    /// The server as it is after this change. One that is connected otherwise has not been checked.
    #[must_use]
    pub fn apply(&self, mut server: McpServer, at: Timestamp) -> McpServer {
        let is_reconnected = self.is_reconnecting();
        let Self { name, description, transport, command, args, env, url, headers, is_enabled, is_global } =
            self.clone();
        server.name = name.unwrap_or(server.name);
        server.description = description.unwrap_or(server.description);
        server.transport = transport.unwrap_or(server.transport);
        server.command = command.unwrap_or(server.command);
        server.args = args.unwrap_or(server.args);
        server.env = env.unwrap_or(server.env);
        server.url = url.unwrap_or(server.url);
        server.headers = headers.unwrap_or(server.headers);
        server.is_enabled = is_enabled.unwrap_or(server.is_enabled);
        server.is_global = is_global.unwrap_or(server.is_global);
        server.check = server.check.filter(|_| !is_reconnected);
        server.updated_at = at;
        server
    }

    fn is_reconnecting(&self) -> bool {
        self.transport.is_some()
            || self.command.is_some()
            || self.args.is_some()
            || self.env.is_some()
            || self.url.is_some()
            || self.headers.is_some()
    }
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum McpTransport {
    /// Through the pipes of a process that the agent starts.
    Stdio,
    /// Over HTTP, with the older pair of an event stream and posts.
    Sse,
    /// Over streamable HTTP.
    Http,
    /// Inside the host's own process.
    Sdk,
}

impl McpTransport {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Stdio, Self::Sse, Self::Http, Self::Sdk];

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Sse => "sse",
            Self::Http => "http",
            Self::Sdk => "sdk",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// How a server was when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum McpCheckStatus {
    /// It shook hands and listed its tools.
    Healthy,
    Unhealthy,
}

impl McpCheckStatus {
    /// Every one of them.
    pub const ALL: [Self; 2] = [Self::Healthy, Self::Unhealthy];

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}
