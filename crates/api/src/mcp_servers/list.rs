//! `GET /mcp-servers`.

use super::response::McpServerResponse;
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, Here},
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Unavailable, ValidQuery};
use domain::PageRequest;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// Which servers to list.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct McpServerListQuery {
    #[serde(default = "limit_default")]
    #[validate(range(min = 1, max = 100))]
    limit: u32,
    /// `next_cursor` of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
    #[serde(default)]
    skip: u32,
}

fn limit_default() -> u32 {
    COLLECTION_LIMIT_DEFAULT
}

/// List MCP servers
///
/// The caller's and those for everybody, newest first.
#[api_v2_operation(tags(McpServers), operation_id = "listMcpServers")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<McpServerListQuery>,
) -> Result<Fetched<Collection<McpServerResponse>>, Fail<(Invalid, Unavailable)>> {
    let McpServerListQuery { limit, cursor, skip } = query.0;
    let request = PageRequest { limit, cursor, skip };
    let page = state.mcp.list(&caller.0, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(McpServerResponse::from), &request)))
}
