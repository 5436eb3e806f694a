//! `GET /sessions/{id}/hooks`.

use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{HISTORY_LIMIT_DEFAULT, Here},
    word::Word,
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Linked, NotFound, PathParams, Unavailable, ValidQuery};
use domain::{HookRun, HookRunStatus, PageRequest, SessionId, hook::HookRunFilter};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use validator::Validate;

/// One hook, called once.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HookExecutionResponse {
    id: Uuid,
    session_id: Uuid,
    turn_id: Option<Uuid>,
    /// The event of the agent.
    hook_type: String,
    hook_name: String,
    tool_use_id: Option<String>,
    tool_name: Option<String>,
    /// What the hook was told; of a large input the long texts are cut.
    input_data: Value,
    /// What it answered; null if it gave no answer.
    output_data: Option<Value>,
    /// Whether what was about to happen went on after it.
    continue_execution: bool,
    status: Word<HookRunStatus>,
    error: Option<String>,
    duration_ms: f64,
    executed_at: Timestamp,
}

/// Which runs to list.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct HookRunQuery {
    #[serde(default = "limit_default")]
    #[validate(range(min = 1, max = 1000))]
    limit: u32,
    /// From the `Link` header of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
    /// Only of this event.
    #[validate(length(max = 64))]
    hook_type: Option<String>,
    /// Only of this tool call.
    #[validate(length(max = 256))]
    tool_use_id: Option<String>,
}

fn limit_default() -> u32 {
    HISTORY_LIMIT_DEFAULT
}

impl From<HookRun> for HookExecutionResponse {
    fn from(run: HookRun) -> Self {
        Self {
            id: run.id.0,
            session_id: run.session_id.0,
            turn_id: run.turn_id.map(|id| id.0),
            hook_type: run.hook_type,
            hook_name: run.hook_name,
            tool_use_id: run.tool_use_id,
            tool_name: run.tool_name,
            input_data: run.input,
            output_data: run.output,
            continue_execution: run.continued,
            status: Word(run.status),
            error: run.error,
            duration_ms: std::time::Duration::from_micros(run.duration_us).as_secs_f64() * 1000.0,
            executed_at: run.executed_at,
        }
    }
}

/// List what hooks did in a session
///
/// Newest first.
#[api_v2_operation(tags(Sessions), operation_id = "listHookExecutions")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<HookRunQuery>,
) -> Result<Linked<Fetched<Vec<HookExecutionResponse>>>, Fail<(NotFound, Invalid, Unavailable)>> {
    let HookRunQuery { limit, cursor, hook_type, tool_use_id } = query.0;
    let (filter, request) =
        (HookRunFilter { hook_type, tool_use_id }, PageRequest { limit, cursor, skip: 0 });
    let page =
        state.sessions.hook_runs(&caller.0, SessionId(id.0), &filter, &request).await.map_err(problem)?;
    let next = here.next(page.next_cursor.as_deref());
    let runs = page.items.into_iter().map(HookExecutionResponse::from).collect();
    Ok(Linked::next(Fetched::new(runs), next.as_deref()))
}
