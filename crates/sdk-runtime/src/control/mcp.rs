//! MCP servers of a running agent.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use super::body;
use crate::{
    agent::Agent,
    error::Error,
    open::{open_enum, open_struct},
};

open_enum! {
    /// Where an MCP server stands.
    McpServerState {
        /// Its tools can be used.
        Connected = "connected",
        /// It could not be started or reached.
        Failed = "failed",
        /// Somebody has to sign in first.
        NeedsAuth = "needs-auth",
        /// It is being connected.
        Pending = "pending",
        /// It was switched off.
        Disabled = "disabled",
    }
}

impl Default for McpServerState {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

open_struct! {
    /// An MCP server.
    #[serde(rename_all = "camelCase")]
    McpServerStatus {
        /// Its name.
        name: String,
        /// Where it stands.
        status: McpServerState,
        /// What it says of itself.
        server_info: Option<McpServerInfo>,
        /// Why it failed.
        error: Option<String>,
        /// How it is configured. May hold what should not be logged.
        config: Option<Value>,
        /// Where it was configured.
        scope: Option<String>,
        /// Where it comes from.
        source: Option<String>,
        /// Its tools.
        tools: Vec<McpToolInfo>,
    }
    /// What an MCP server says of itself.
    McpServerInfo {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    }
    /// A tool of an MCP server.
    McpToolInfo {
        /// Its name, without that of the server.
        name: String,
        /// What it does.
        description: Option<String>,
        /// What it says of its effects.
        annotations: Option<Value>,
    }
    /// A list of servers.
    #[serde(rename_all = "camelCase")]
    McpServerList {
        /// The servers.
        mcp_servers: Vec<McpServerStatus>,
    }
    /// What setting the servers led to.
    McpServersSet {
        /// Servers that are new.
        added: Vec<String>,
        /// Servers that are gone.
        removed: Vec<String>,
        /// Servers that could not be connected, and why.
        errors: BTreeMap<String, String>,
    }
    /// What a tool gave back.
    McpToolOutput {
        /// Content blocks.
        content: Vec<Value>,
        /// Whether they tell of an error.
        #[serde(rename = "isError")]
        is_error: bool,
    }
    /// A resource of an MCP server.
    McpResource {
        /// Its parts.
        contents: Vec<McpResourcePart>,
    }
    /// A part of a resource: text, or base64 in `blob`.
    #[serde(rename_all = "camelCase")]
    McpResourcePart {
        /// Where it is.
        uri: String,
        /// What it is.
        mime_type: Option<String>,
        /// As text.
        text: Option<String>,
        /// As base64.
        blob: Option<String>,
    }
}

/// A call of a tool past the model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct McpCall {
    /// `mcp__server__tool`.
    pub tool: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// Bound of the call on the agent's side; `Limits::control_timeout` bounds the wait for it.
    pub timeout: Option<Duration>,
    /// Whether rules and gate are asked first.
    pub check_permissions: bool,
}

impl McpCall {
    /// A call that rules and gate are asked about first.
    pub fn new(tool: impl Into<String>, arguments: Map<String, Value>) -> Self {
        Self { tool: tool.into(), arguments, timeout: None, check_permissions: true }
    }

    /// Bounds the call on the agent's side.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Calls the tool whatever the rules say.
    #[must_use]
    pub fn without_permission_check(mut self) -> Self {
        self.check_permissions = false;
        self
    }
}

impl Agent {
    /// The servers and where they stand.
    /// Cancel safe.
    pub async fn mcp_status(&self) -> Result<Vec<McpServerStatus>, Error> {
        self.ask("mcp_status", json!({})).await.map(|list: McpServerList| list.mcp_servers)
    }

    /// Connects a server anew; refused for servers inside the host.
    /// When it is dropped, the agent may still do it.
    pub async fn mcp_reconnect(&self, server: &str) -> Result<(), Error> {
        self.tell("mcp_reconnect", json!({ "serverName": server })).await
    }

    /// Switches a server on or off.
    /// When it is dropped, the agent may still do it.
    pub async fn mcp_toggle(&self, server: &str, enabled: bool) -> Result<(), Error> {
        self.tell("mcp_toggle", json!({ "serverName": server, "enabled": enabled })).await
    }

    /// Replaces the servers that were set this way before; those of the options stay. `servers` maps names
    /// to configurations.
    /// When it is dropped, the agent may still do it.
    pub async fn mcp_set_servers(&self, servers: Map<String, Value>) -> Result<McpServersSet, Error> {
        self.ask("mcp_set_servers", json!({ "servers": servers })).await
    }

    /// Calls a tool of an external server without the model.
    /// When it is dropped, the agent may still do it.
    pub async fn mcp_call(&self, call: McpCall) -> Result<McpToolOutput, Error> {
        let millis = call.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let fields = [
            ("tool", Some(call.tool.into())),
            ("arguments", Some(call.arguments.into())),
            ("timeout_ms", millis.map(Into::into)),
            ("check_permissions", Some(call.check_permissions.into())),
        ];
        self.ask("mcp_call", body(fields)).await
    }

    /// Reads a `ui://` resource.
    /// When it is dropped, the agent may still do it.
    pub async fn mcp_read_resource(&self, server: &str, uri: &str) -> Result<McpResource, Error> {
        self.ask("mcp_read_resource", json!({ "serverName": server, "uri": uri })).await
    }

    /// Has a server's tools permitted in another mode than the session's: `default` or `auto`; `None`
    /// takes that back.
    /// When it is dropped, the agent may still do it.
    pub async fn mcp_set_permission_mode(&self, server: &str, mode: Option<&str>) -> Result<Value, Error> {
        let body = json!({ "serverName": server, "mode": mode });
        self.control("set_mcp_permission_mode_override", body).await
    }

    /// Begins to sign in to a server: the answer holds the page to open, when one is needed.
    /// When it is dropped, the agent may still do it.
    pub async fn mcp_authenticate(&self, server: &str, redirect: Option<&str>) -> Result<Value, Error> {
        let redirect = redirect.map(Into::into);
        let body = body([("serverName", Some(server.into())), ("redirectUri", redirect)]);
        self.control("mcp_authenticate", body).await
    }

    /// Ends signing in: the page the user's browser was sent back to.
    /// When it is dropped, the agent may still do it.
    pub async fn mcp_oauth_callback(&self, server: &str, callback_url: &str) -> Result<Value, Error> {
        let body = json!({ "serverName": server, "callbackUrl": callback_url });
        self.control("mcp_oauth_callback_url", body).await
    }

    /// Forgets who signed in to a server.
    /// When it is dropped, the agent may still do it.
    pub async fn mcp_clear_auth(&self, server: &str) -> Result<Value, Error> {
        self.control("mcp_clear_auth", json!({ "serverName": server })).await
    }

    /// Lets a server push messages into the session.
    /// When it is dropped, the agent may still do it.
    pub async fn mcp_enable_channel(&self, server: &str) -> Result<(), Error> {
        self.tell("channel_enable", json!({ "serverName": server })).await
    }
}
