//! One server of an agent, whatever its kind, and what a change of the set came to.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

#[cfg(feature = "mcp")]
use super::McpServer;
use super::{McpRemoteServer, McpStdioServer};
use crate::hidden::Hidden;

/// A server the agent may use.
#[derive(Clone)]
#[non_exhaustive]
pub enum McpServerConfig {
    /// The CLI starts it.
    Stdio(McpStdioServer),
    /// The CLI reaches it over HTTP.
    Remote(McpRemoteServer),
    /// It runs in this process.
    #[cfg(feature = "mcp")]
    InProcess(McpServer),
    /// In the CLI's own words, as in `.mcp.json`, for kinds this crate does not know.
    Raw(Value),
}

impl McpServerConfig {
    /// Whether the server runs in this process.
    pub(crate) fn is_in_process(&self) -> bool {
        match self {
            #[cfg(feature = "mcp")]
            Self::InProcess(_) => true,
            Self::Stdio(_) | Self::Remote(_) | Self::Raw(_) => false,
        }
    }
}

/// What the agent made of a new set of servers.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct McpSetServers {
    /// Servers that are new.
    pub added: Vec<String>,
    /// Servers that are gone.
    pub removed: Vec<String>,
    /// Servers that could not be reached, and why.
    pub errors: BTreeMap<String, String>,
    /// The whole answer.
    pub raw: Value,
}

impl McpServerConfig {
    /// What the CLI is told, unless the server is in this process.
    pub(crate) fn external(&self) -> Option<Value> {
        match self {
            Self::Stdio(server) => Some(server.to_wire()),
            Self::Remote(server) => Some(server.to_wire()),
            #[cfg(feature = "mcp")]
            Self::InProcess(_) => None,
            Self::Raw(wire) => Some(wire.clone()),
        }
    }
}

/// The external servers as `initialize` carries them: the typed ones laid over the untyped.
pub(crate) fn external_servers(
    untyped: Option<&Value>,
    typed: &BTreeMap<String, McpServerConfig>,
) -> Option<Value> {
    let mut all = match untyped {
        Some(Value::Object(servers)) => servers.clone(),
        Some(_) | None => Map::new(),
    };
    let typed = typed.iter().filter_map(|(name, server)| Some((name.clone(), server.external()?)));
    all.extend(typed);
    (untyped.is_some() || !all.is_empty()).then_some(Value::Object(all))
}

impl McpSetServers {
    pub(crate) fn read(raw: Value) -> Self {
        let names = |value: &Value| -> Vec<String> {
            let names = value.as_array().map(Vec::as_slice).unwrap_or_default();
            names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let errors = raw["errors"].as_object().into_iter().flatten().map(|(name, why)| {
            let why = why.as_str().map_or_else(|| why.to_string(), str::to_owned);
            (name.clone(), why)
        });
        Self { added: names(&raw["added"]), removed: names(&raw["removed"]), errors: errors.collect(), raw }
    }
}

impl From<McpStdioServer> for McpServerConfig {
    fn from(server: McpStdioServer) -> Self {
        Self::Stdio(server)
    }
}

impl From<McpRemoteServer> for McpServerConfig {
    fn from(server: McpRemoteServer) -> Self {
        Self::Remote(server)
    }
}

#[cfg(feature = "mcp")]
impl From<McpServer> for McpServerConfig {
    fn from(server: McpServer) -> Self {
        Self::InProcess(server)
    }
}

impl From<Value> for McpServerConfig {
    fn from(wire: Value) -> Self {
        Self::Raw(wire)
    }
}

impl fmt::Debug for McpServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio(server) => server.fmt(f),
            Self::Remote(server) => server.fmt(f),
            #[cfg(feature = "mcp")]
            Self::InProcess(server) => server.fmt(f),
            // Where its secrets are is not known.
            Self::Raw(_) => f.debug_tuple("Raw").field(&Hidden).finish(),
        }
    }
}
