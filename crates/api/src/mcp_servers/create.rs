//! `POST /mcp-servers`.

use super::{
    response::McpServerResponse,
    secrets::{Secret, given, lower_case},
};
use crate::{ApiState, caller::Caller, error::problem, plain, word::Word};
use actix_web::web::Data;
use apidoc::{Conflict, Created, Fail, Forbidden, Invalid, Unavailable, Valid};
use domain::McpTransport;
use engine::{McpRecipe, McpServerDraft};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use validator::Validate;

/// A new server.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(
    extend(
        "if" = { "properties": { "server_type": { "const": "stdio" } }, "required": ["server_type"] },
        "then" = {
            "properties": {
                "command": { "type": "string", "pattern": PROGRAM },
                "url": { "type": "null" },
                "headers": { "maxProperties": 0 },
            },
            "required": ["command"],
        },
        "else" = {
            "properties": {
                "server_type": { "enum": ["sse", "http"] },
                "url": { "type": "string" },
                "command": { "type": "null" },
                "args": { "maxItems": 0 },
            },
            "required": ["url"],
        },
    ),
    example = json!({ "name": "files", "server_type": "stdio", "command": "mcp-server-files" })
)]
pub struct McpServerCreateRequest {
    /// Unique among the caller's; sessions name it in `sdk_options.mcp_servers`.
    #[validate(length(min = 1, max = 100), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: String,
    #[validate(length(max = 2000), custom(function = "plain::lines"))]
    #[schemars(extend("pattern" = plain::LINES))]
    description: Option<String>,
    /// `stdio`: a process that the agent starts. `http`, `sse`: a server that is there already, over streamable HTTP or
    /// the older event stream. `sdk` is for servers inside a program of one's own, which this server has none of.
    server_type: Word<McpTransport>,
    /// The program of a stdio server, looked up where agents run.
    #[validate(length(max = 1024), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    command: Option<String>,
    /// Its arguments. `${NAME}` stands for the secret of that name in `env`.
    #[serde(default)]
    #[validate(length(max = 100))]
    args: Vec<String>,
    /// Variables of its process, and secrets that `${NAME}` stands for in `args`, `url` and `headers`. They are
    /// encrypted, and never shown again.
    #[serde(default)]
    #[validate(length(max = 64))]
    env: BTreeMap<String, Secret>,
    /// Where an sse or http server is: `https://` and a public address, unless the operator allows others.
    #[validate(length(max = 2048), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    url: Option<String>,
    /// Headers of every request to it, such as `Authorization`. They are encrypted, and never shown again.
    #[serde(default)]
    #[validate(length(max = 64))]
    headers: BTreeMap<String, Secret>,
    #[serde(default = "yes")]
    is_enabled: bool,
    /// Whether everybody's sessions may name it. For admins only. Whoever names it can learn its secrets.
    #[serde(default)]
    is_global: bool,
}

/// What a program may be called, as the document says it: no control character, and neither `=`, which would make it a
/// variable, nor `-` at its beginning, which would make it an option.
const PROGRAM: &str = r"^[^\u0000-\u001F\u007F-\u009F=-][^\u0000-\u001F\u007F-\u009F=]*$";

fn yes() -> bool {
    true
}

impl From<McpServerCreateRequest> for McpServerDraft {
    fn from(request: McpServerCreateRequest) -> Self {
        Self {
            name: request.name,
            description: request.description,
            recipe: McpRecipe {
                transport: request.server_type.0,
                command: request.command,
                args: request.args,
                env: given(request.env),
                url: request.url,
                headers: lower_case(given(request.headers)),
            },
            is_enabled: request.is_enabled,
            is_global: request.is_global,
        }
    }
}

/// Register an MCP server
///
/// It is not connected to yet; a health check tells whether it can be.
#[api_v2_operation(tags(McpServers), operation_id = "createMcpServer")]
pub async fn create(
    state: Data<ApiState>,
    caller: Caller,
    body: Valid<McpServerCreateRequest>,
) -> Result<Created<McpServerResponse>, Fail<(Forbidden, Conflict, Invalid, Unavailable)>> {
    let server = state.mcp.create(&caller.0, body.0.into()).await.map_err(problem)?;
    let location = format!("/api/v1/mcp-servers/{}", server.id);
    Ok(Created::at(server.into(), location))
}
