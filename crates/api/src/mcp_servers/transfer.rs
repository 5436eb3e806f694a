//! `POST /mcp-servers/import` and `GET /mcp-servers/export`: the file in which Claude Desktop keeps its servers.

use super::response::McpServerResponse;
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, Unavailable, Upload};
use engine::{FieldError, ImportOutcome, ImportedServer};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// Largest file, in bytes.
const FILE_BYTES_MAX: usize = 1 << 20;

/// What became of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct McpImportResponse {
    /// How many servers were registered.
    imported: usize,
    /// How many were not.
    failed: usize,
    /// One for each server of the file.
    results: Vec<McpImportResult>,
}

/// What became of one server of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct McpImportResult {
    name: String,
    /// The server that was registered; null if none was.
    server: Option<McpServerResponse>,
    /// Secrets that the file does not have, as pointers into the server. It is disabled until it is enabled with them.
    missing_secrets: Vec<String>,
    /// Members of it that mean nothing here.
    ignored: Vec<String>,
    /// Why it was not registered.
    errors: Vec<McpImportError>,
}

/// Something that is wrong with a server of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct McpImportError {
    /// JSON pointer into the server.
    pointer: String,
    /// Stable word for the rule that was broken.
    code: &'static str,
    message: String,
}

/// Servers by name, in the words of Claude Desktop.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpExportResponse {
    mcp_servers: Map<String, Value>,
}

impl From<ImportOutcome> for McpImportResult {
    fn from(outcome: ImportOutcome) -> Self {
        let ImportOutcome { name, result } = outcome;
        match result {
            Ok(ImportedServer { server, missing, ignored }) => {
                Self { name, server: Some(server.into()), missing_secrets: missing, ignored, errors: vec![] }
            }
            Err(faults) => Self {
                name,
                server: None,
                missing_secrets: vec![],
                ignored: vec![],
                errors: faults.into_iter().map(McpImportError::from).collect(),
            },
        }
    }
}

impl From<FieldError> for McpImportError {
    fn from(fault: FieldError) -> Self {
        Self { pointer: fault.pointer, code: fault.code, message: fault.message }
    }
}

/// Register the MCP servers of a file
///
/// The file is that of Claude Desktop, `{"mcpServers": {"name": {...}}}`, as most clients have it. Each server is
/// registered by itself: what is wrong with one is told in its result, and stops no other.
#[api_v2_operation(tags(McpServers), operation_id = "importMcpServers")]
pub async fn import(
    state: Data<ApiState>,
    caller: Caller,
    file: Upload<FILE_BYTES_MAX>,
) -> Result<Fetched<McpImportResponse>, Fail<(Forbidden, Invalid, Unavailable)>> {
    let outcomes = state.mcp.import(&caller.0, &file.0).await.map_err(problem)?;
    let results: Vec<McpImportResult> = outcomes.into_iter().map(McpImportResult::from).collect();
    let imported = results.iter().filter(|result| result.server.is_some()).count();
    Ok(Fetched::new(McpImportResponse { imported, failed: results.len() - imported, results }))
}

/// Write the caller's MCP servers into a file
///
/// In the words of Claude Desktop. `${NAME}` stands in the place of each secret.
#[api_v2_operation(tags(McpServers), operation_id = "exportMcpServers")]
pub async fn export(
    state: Data<ApiState>,
    caller: Caller,
) -> Result<Fetched<McpExportResponse>, Fail<(Unavailable,)>> {
    let mut file = state.mcp.export(&caller.0).await.map_err(problem)?;
    let mcp_servers = match file["mcpServers"].take() {
        Value::Object(servers) => servers,
        _ => Map::new(),
    };
    Ok(Fetched::new(McpExportResponse { mcp_servers }))
}
