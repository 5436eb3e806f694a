//! What an execution did: its tool calls, its files, its archive. All of it is its session's.

use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::Here,
    sessions::{
        HistoryQuery,
        archive::{ArchiveMetadataResponse, ArchiveRequest, Archived},
        files::{Bytes, FileListing, download_of},
        query::manner::RespondAsync,
        tool_calls::ToolCallResponse,
    },
};
use actix_web::web::Data;
use apidoc::{
    Conflict, Download, Fail, Fetched, Forbidden, Invalid, Linked, NotFound, PathParams, StorageFull,
    Unavailable, ValidOr, ValidQuery,
};
use domain::{Execution, ExecutionId, Page};
use engine::{Result as EngineResult, files::Listing};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// Which file to read.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ExecutionFileQuery {
    /// Relative to the working directory.
    #[validate(length(min = 1, max = 4096))]
    file_path: String,
}

/// One of the caller's executions.
async fn execution(state: &ApiState, caller: &Caller, id: Uuid) -> EngineResult<Execution> {
    state.tasks.execution(&caller.0, ExecutionId(id)).await
}

/// List an execution's tool calls
///
/// Of its last attempt, oldest first.
#[api_v2_operation(tags(Tasks), operation_id = "listExecutionToolCalls")]
pub async fn tool_calls(
    state: Data<ApiState>,
    caller: Caller,
    execution_id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<HistoryQuery>,
) -> Result<Linked<Fetched<Vec<ToolCallResponse>>>, Fail<(NotFound, Invalid, Unavailable)>> {
    let execution = execution(&state, &caller, execution_id.0).await.map_err(problem)?;
    let request = query.0.request();
    let page = if execution.session_created {
        state.sessions.tool_calls(&caller.0, execution.session_id, &request).await.map_err(problem)?
    } else {
        Page::empty()
    };
    let next = here.next(page.next_cursor.as_deref());
    let calls = page.items.into_iter().map(ToolCallResponse::from).collect();
    Ok(Linked::next(Fetched::new(calls), next.as_deref()))
}

/// List an execution's files
///
/// What is in its working directory now, as `GET /sessions/{id}/files` has it. What was archived is in the archive.
#[api_v2_operation(tags(Tasks), operation_id = "listExecutionFiles")]
pub async fn files(
    state: Data<ApiState>,
    caller: Caller,
    execution_id: PathParams<Uuid>,
) -> Result<Fetched<FileListing>, Fail<(NotFound, Unavailable)>> {
    let execution = execution(&state, &caller, execution_id.0).await.map_err(problem)?;
    let listing = if execution.session_created {
        state.sessions.files(&caller.0, execution.session_id).await.map_err(problem)?
    } else {
        Listing { entries: vec![], is_truncated: false }
    };
    Ok(Fetched::new(listing.into()))
}

/// Download one of an execution's files
///
/// A path that leads outside the working directory names no file.
#[api_v2_operation(tags(Tasks), operation_id = "downloadExecutionFile")]
pub async fn download(
    state: Data<ApiState>,
    caller: Caller,
    execution_id: PathParams<Uuid>,
    query: ValidQuery<ExecutionFileQuery>,
) -> Result<Download<Bytes>, Fail<(NotFound, Invalid, Unavailable)>> {
    let execution = execution(&state, &caller, execution_id.0).await.map_err(problem)?;
    let opened = state.sessions.open_file(&caller.0, execution.session_id, query.0.file_path).await;
    Ok(download_of(opened.map_err(problem)?))
}

/// Look at an execution's archive
///
/// The newest of its session, whatever became of it.
#[api_v2_operation(tags(Tasks), operation_id = "getExecutionArchive")]
pub async fn archive(
    state: Data<ApiState>,
    caller: Caller,
    execution_id: PathParams<Uuid>,
) -> Result<Fetched<ArchiveMetadataResponse>, Fail<(NotFound, Unavailable)>> {
    let execution = execution(&state, &caller, execution_id.0).await.map_err(problem)?;
    let archive = state.sessions.archive_of(&caller.0, execution.session_id).await.map_err(problem)?;
    Ok(Fetched::new(archive.into()))
}

/// Archive an execution's session
///
/// As `POST /sessions/{id}/archive` does.
#[api_v2_operation(tags(Tasks), operation_id = "archiveExecution")]
pub async fn put_away(
    state: Data<ApiState>,
    caller: Caller,
    execution_id: PathParams<Uuid>,
    prefer: RespondAsync,
    body: ValidOr<ArchiveRequest>,
) -> Result<Archived, Fail<(Forbidden, NotFound, Conflict, StorageFull, Unavailable)>> {
    let execution = execution(&state, &caller, execution_id.0).await.map_err(problem)?;
    let archived = body.0.of(&state, &caller, execution.session_id, prefer).await;
    Ok(archived.map_err(problem)?)
}
