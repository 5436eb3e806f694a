//! `POST /mcp-servers/{id}/health-check`.

use super::response::McpHealthResponse;
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, NotFound, PathParams, Unavailable};
use domain::McpServerId;
use engine::McpCheckReport;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// What a handshake with a server came to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct McpHealthCheckResponse {
    server_id: Uuid,
    #[serde(flatten)]
    health: McpHealthResponse,
    duration_ms: u64,
    /// What the server calls itself.
    server_name: Option<String>,
    server_version: Option<String>,
    /// The version of the protocol that both speak.
    protocol_version: Option<String>,
    /// What it offers, at most 1000.
    tools: Vec<McpToolResponse>,
    /// What stands between it and agents, although it is healthy.
    notice: Option<&'static str>,
}

/// A tool of a server.
#[derive(Debug, Serialize, JsonSchema)]
pub struct McpToolResponse {
    name: String,
    description: Option<String>,
}

impl McpHealthCheckResponse {
    fn new(server_id: Uuid, report: McpCheckReport) -> Self {
        let McpCheckReport { check, took, found, notice } = report;
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut response = Self {
            server_id,
            health: check.into(),
            duration_ms,
            server_name: None,
            server_version: None,
            protocol_version: None,
            tools: vec![],
            notice,
        };
        if let Some(found) = found {
            response.server_name = Some(found.server_name);
            response.server_version = Some(found.server_version);
            response.protocol_version = Some(found.protocol_version);
            let tools = found.tools.into_iter();
            response.tools = tools
                .map(|tool| McpToolResponse { name: tool.name, description: tool.description })
                .collect();
        }
        response
    }
}

/// Look how an MCP server is
///
/// Shakes hands with it as an agent would and asks for its tools, within 30 seconds. A stdio server is started in the
/// sandbox that agents have, and ended. What was found is kept with the server; that it is not healthy is no error.
#[api_v2_operation(tags(McpServers), operation_id = "checkMcpServer")]
pub async fn check(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<McpHealthCheckResponse>, Fail<(Forbidden, NotFound, Unavailable)>> {
    let report = state.mcp.check_health(&caller.0, McpServerId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(McpHealthCheckResponse::new(id.0, report)))
}
