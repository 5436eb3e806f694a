//! `GET /tasks/{id}/executions`.

use super::response::ExecutionResponse;
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, Here},
    word::Word,
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, NotFound, PathParams, Unavailable, ValidQuery};
use domain::{ExecutionStatus, PageRequest, TaskId};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// Which executions to list.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ExecutionListQuery {
    status: Option<Word<ExecutionStatus>>,
    #[serde(default = "limit_default")]
    #[validate(range(min = 1, max = 100))]
    limit: u32,
    /// `next_cursor` of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
    /// Kept for old clients; ignored beside a cursor.
    #[serde(default)]
    skip: u32,
}

fn limit_default() -> u32 {
    COLLECTION_LIMIT_DEFAULT
}

/// List a task's executions
///
/// Newest first.
#[api_v2_operation(tags(Tasks), operation_id = "listExecutions")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<ExecutionListQuery>,
) -> Result<Fetched<Collection<ExecutionResponse>>, Fail<(NotFound, Invalid, Unavailable)>> {
    let ExecutionListQuery { status, limit, cursor, skip } = query.0;
    let request = PageRequest { limit, cursor, skip };
    let status = status.map(|word| word.0);
    let page = state.tasks.executions(&caller.0, TaskId(id.0), status, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(ExecutionResponse::from), &request)))
}
