//! `GET`, `PATCH` and `DELETE /mcp-servers/{id}`.

use super::{
    response::McpServerResponse,
    secrets::{Secret, changed, lower_case},
};
use crate::{ApiState, caller::Caller, error::problem, plain, word::Word};
use actix_web::web::Data;
use apidoc::{Conflict, Done, Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, Unavailable, Valid};
use domain::{McpServerId, McpTransport};
use engine::McpServerChange;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use uuid::Uuid;
use validator::Validate;

/// What to change; what is left out stays as it is.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct McpServerPatchRequest {
    #[validate(length(min = 1, max = 100), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    #[schemars(with = "Option<String>")]
    #[validate(length(max = 2000), custom(function = "plain::lines"))]
    #[schemars(extend("pattern" = plain::LINES))]
    description: Option<Option<String>>,
    server_type: Option<Word<McpTransport>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schemars(with = "Option<String>")]
    #[validate(length(max = 1024), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    command: Option<Option<String>>,
    #[validate(length(max = 100))]
    args: Option<Vec<String>>,
    /// All variables there are from now on. One whose value is the mask of the answers keeps the value it has.
    #[validate(length(max = 64))]
    env: Option<BTreeMap<String, Secret>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schemars(with = "Option<String>")]
    #[validate(length(max = 2048), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    url: Option<Option<String>>,
    /// All headers there are from now on. One whose value is the mask of the answers keeps the value it has.
    #[validate(length(max = 64))]
    headers: Option<BTreeMap<String, Secret>>,
    /// No agent is started with a disabled server.
    is_enabled: Option<bool>,
    is_global: Option<bool>,
}

/// Tells null from left out.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<McpServerPatchRequest> for McpServerChange {
    fn from(request: McpServerPatchRequest) -> Self {
        Self {
            name: request.name,
            description: request.description,
            transport: request.server_type.map(|transport| transport.0),
            command: request.command,
            args: request.args,
            env: request.env.map(changed),
            url: request.url,
            headers: request.headers.map(|headers| lower_case(changed(headers))),
            is_enabled: request.is_enabled,
            is_global: request.is_global,
        }
    }
}

/// Read an MCP server
///
/// Its secrets are named and not shown. With what the latest check of its health found.
#[api_v2_operation(tags(McpServers), operation_id = "getMcpServer")]
pub async fn get(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<McpServerResponse>, Fail<(NotFound, Unavailable)>> {
    let server = state.mcp.get(&caller.0, McpServerId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(server.into()))
}

/// Change an MCP server
///
/// It holds from the next prompt of a session on; a running turn ends with what it began with.
#[api_v2_operation(tags(McpServers), operation_id = "updateMcpServer")]
pub async fn patch(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    body: Valid<McpServerPatchRequest>,
) -> Result<Fetched<McpServerResponse>, Fail<(Forbidden, NotFound, Conflict, Invalid, Unavailable)>> {
    let patched = state.mcp.patch(&caller.0, McpServerId(id.0), body.0.into()).await.map_err(problem)?;
    Ok(Fetched::new(patched.into()))
}

/// Delete an MCP server
///
/// A session that names it cannot be prompted any more.
#[api_v2_operation(tags(McpServers), operation_id = "deleteMcpServer")]
pub async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Done, Fail<(Forbidden, NotFound, Unavailable)>> {
    state.mcp.delete(&caller.0, McpServerId(id.0)).await.map_err(problem)?;
    Ok(Done)
}
