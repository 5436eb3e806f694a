//! `GET /sessions/{id}/metrics/current`, `/metrics/history` and its other name `/metrics/snapshots`.

use super::HistoryQuery;
use crate::{ApiState, caller::Caller, error::problem, page::Here};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Linked, NotFound, PathParams, Unavailable, ValidQuery};
use domain::{PageRequest, SessionId};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// A session's figures at one instant.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MetricsSnapshot {
    snapshot_at: Timestamp,
    total_messages: u64,
    total_tool_calls: u64,
    total_hook_executions: u64,
    total_permission_checks: u64,
    total_errors: u64,
    total_retries: u64,
    total_cost_usd: f64,
    total_input_tokens: u64,
    total_output_tokens: u64,
    total_cache_creation_tokens: u64,
    total_cache_read_tokens: u64,
    /// From the first turn until the session's end, or until then. Null before the first turn.
    pub(crate) duration_ms: Option<u64>,
    /// Mean over the tool calls that ran to their end, from the call until its result. Null if there was none.
    avg_tool_duration_ms: Option<f64>,
}

impl From<domain::MetricsSnapshot> for MetricsSnapshot {
    fn from(snapshot: domain::MetricsSnapshot) -> Self {
        let counters = snapshot.counters;
        Self {
            snapshot_at: snapshot.snapshot_at,
            total_messages: counters.messages,
            total_tool_calls: counters.tool_calls,
            total_hook_executions: counters.hook_executions,
            total_permission_checks: counters.permission_checks,
            total_errors: counters.errors,
            total_retries: counters.retries,
            total_cost_usd: counters.cost.as_usd(),
            total_input_tokens: counters.tokens.input,
            total_output_tokens: counters.tokens.output,
            total_cache_creation_tokens: counters.tokens.cache_creation(),
            total_cache_read_tokens: counters.tokens.cache_read,
            duration_ms: snapshot.duration_ms,
            avg_tool_duration_ms: snapshot.avg_tool_duration_ms,
        }
    }
}

/// Read a session's figures
///
/// Counted up to this moment.
#[api_v2_operation(tags(Sessions), operation_id = "getCurrentMetrics")]
pub async fn current(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<MetricsSnapshot>, Fail<(NotFound, Unavailable)>> {
    let measured = state.sessions.measure(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(measured.into()))
}

/// What a page of snapshots is answered with.
type Listed = Result<Linked<Fetched<Vec<MetricsSnapshot>>>, Fail<(NotFound, Invalid, Unavailable)>>;

/// List how a session's figures went
///
/// Newest first: one each interval in which something happened, and one at the session's end.
#[api_v2_operation(tags(Sessions), operation_id = "listMetrics")]
pub async fn history(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<HistoryQuery>,
) -> Listed {
    list(&state, &caller, id.0, &here, &query.0.request()).await
}

/// List how a session's figures went
///
/// Another name of `/metrics/history`.
#[api_v2_operation(tags(Sessions), operation_id = "listMetricsSnapshots")]
pub async fn snapshots(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<HistoryQuery>,
) -> Listed {
    list(&state, &caller, id.0, &here, &query.0.request()).await
}

async fn list(state: &ApiState, caller: &Caller, id: Uuid, here: &Here, request: &PageRequest) -> Listed {
    let page = state.sessions.snapshots(&caller.0, SessionId(id), request).await.map_err(problem)?;
    let next = here.next(page.next_cursor.as_deref());
    let snapshots = page.items.into_iter().map(MetricsSnapshot::from).collect();
    Ok(Linked::next(Fetched::new(snapshots), next.as_deref()))
}
