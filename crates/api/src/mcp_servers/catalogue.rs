//! `GET /mcp-servers/templates`.

use crate::{caller::Caller, word::Word};
use apidoc::{Fail, Fetched, Unavailable};
use domain::McpTransport;
use engine::{MCP_TEMPLATES, McpTemplate};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A server that many people use: what to register it with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct McpServerTemplateResponse {
    id: &'static str,
    /// A name to register it by.
    name: &'static str,
    description: &'static str,
    server_type: Word<McpTransport>,
    command: Option<&'static str>,
    args: Vec<&'static str>,
    /// The secrets it wants, each with what it is; put them in the place of that.
    env: BTreeMap<&'static str, &'static str>,
    url: Option<&'static str>,
    headers: BTreeMap<&'static str, &'static str>,
    /// The documentation that this was taken from.
    source: &'static str,
}

impl From<&'static McpTemplate> for McpServerTemplateResponse {
    fn from(template: &'static McpTemplate) -> Self {
        Self {
            id: template.id,
            name: template.id,
            description: template.description,
            server_type: Word(template.transport),
            command: template.command,
            args: template.args.to_vec(),
            env: template.secrets.iter().map(|secret| (secret.name, secret.description)).collect(),
            url: template.url,
            headers: template.headers.iter().copied().collect(),
            source: template.source,
        }
    }
}

/// List MCP servers that many people use
///
/// They are part of this server's version; nothing is fetched.
#[api_v2_operation(tags(McpServers), operation_id = "listMcpServerTemplates")]
pub async fn list(_caller: Caller) -> Result<Fetched<Vec<McpServerTemplateResponse>>, Fail<(Unavailable,)>> {
    Ok(Fetched::new(MCP_TEMPLATES.iter().map(McpServerTemplateResponse::from).collect()))
}
