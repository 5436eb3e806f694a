//! MCP servers on the wire.

use super::secrets::masked;
use crate::word::Word;
use domain::{McpCheck, McpCheckStatus, McpServer, McpTransport};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A registered server, without its secrets.
#[derive(Debug, Serialize, JsonSchema)]
pub struct McpServerResponse {
    pub id: Uuid,
    user_id: Uuid,
    /// What sessions name in `sdk_options.mcp_servers`.
    name: String,
    description: Option<String>,
    server_type: Word<McpTransport>,
    /// What a stdio server is started by.
    command: Option<String>,
    /// `${NAME}` stands for the secret of that name in `env`.
    args: Vec<String>,
    /// Names of variables, each with a mask in the place of its value.
    env: BTreeMap<String, &'static str>,
    /// Where an sse or http server is. `${NAME}` stands for the secret of that name in `env`.
    url: Option<String>,
    /// Names of headers, each with a mask in the place of its value.
    headers: BTreeMap<String, &'static str>,
    is_enabled: bool,
    /// Whether everybody's sessions may name it.
    is_global: bool,
    /// What the last health check found; null if there was none since it was connected otherwise.
    health: Option<McpHealthResponse>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// How a server was when it was looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub struct McpHealthResponse {
    status: Word<McpCheckStatus>,
    last_checked_at: Timestamp,
    /// How many tools it offers.
    tools_count: Option<u32>,
    /// Why it is not healthy.
    error: Option<String>,
}

impl From<McpCheck> for McpHealthResponse {
    fn from(check: McpCheck) -> Self {
        Self {
            status: Word(check.status),
            last_checked_at: check.at,
            tools_count: check.tools_count,
            error: check.error,
        }
    }
}

impl From<McpServer> for McpServerResponse {
    fn from(server: McpServer) -> Self {
        Self {
            id: server.id.0,
            user_id: server.user_id.0,
            name: server.name,
            description: server.description,
            server_type: Word(server.transport),
            command: server.command,
            args: server.args,
            env: masked(server.env),
            url: server.url,
            headers: masked(server.headers),
            is_enabled: server.is_enabled,
            is_global: server.is_global,
            health: server.check.map(McpHealthResponse::from),
            created_at: server.created_at,
            updated_at: server.updated_at,
        }
    }
}
