//! `GET /sessions/{id}/metrics/current`.

use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, NotFound, PathParams, Unavailable};
use domain::{Session, SessionId};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;
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
    /// From the first turn until the session's end, or until now. Null before the first turn.
    duration_ms: Option<i64>,
    /// Since the server's start; null if no tool has ended since.
    avg_tool_duration_ms: Option<f64>,
}

impl MetricsSnapshot {
    fn of(session: &Session, now: Timestamp, tool: Option<Duration>) -> Self {
        let counters = session.counters;
        let until = session.completed_at.unwrap_or(now);
        Self {
            snapshot_at: now,
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
            duration_ms: session
                .started_at
                .map(|start| (until.as_millisecond() - start.as_millisecond()).max(0)),
            avg_tool_duration_ms: tool.map(|mean| mean.as_secs_f64() * 1000.0),
        }
    }
}

/// Read a session's figures
#[api_v2_operation(tags(Sessions), operation_id = "getCurrentMetrics")]
pub async fn current(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<MetricsSnapshot>, Fail<(NotFound, Unavailable)>> {
    let session = state.sessions.get(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    let tool = state.sessions.average_tool_duration(session.id);
    Ok(Fetched::new(MetricsSnapshot::of(&session, state.clock.now(), tool)))
}
