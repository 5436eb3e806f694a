//! `GET /monitoring/performance` and `/monitoring/metrics/session/{id}`.

use crate::{ApiState, caller::Caller, error::problem, sessions::metrics::MetricsSnapshot};
use actix_web::{http::StatusCode, web::Data};
use apidoc::{Fail, Fetched, Forbidden, NotFound, PathParams, Problem, Unavailable};
use domain::{Role, SessionId};
use jiff::Timestamp;
use monitoring::{Activity, Figures, PerformanceReport};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

/// How fast the server is, as it has seen it since its start.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PerformanceResponse {
    /// Turns, from their beginning to their end.
    queries: ActivityWindows,
    /// Tools that ran.
    tools: ActivityWindows,
    /// Hooks that were called.
    hooks: ActivityWindows,
    /// Verdicts that agents waited for, until they were on record.
    permission_checks: ActivityWindows,
    timestamp: Timestamp,
}

/// One activity over the last minute, five minutes and hour.
#[derive(Debug, Serialize, JsonSchema)]
struct ActivityWindows {
    last_minute: ActivityFigures,
    last_5_minutes: ActivityFigures,
    last_hour: ActivityFigures,
}

/// Figures of one stretch of time. Percentiles are within a hundredth, and null if nothing happened.
#[derive(Debug, Serialize, JsonSchema)]
struct ActivityFigures {
    count: u64,
    /// Over the part of the time in which the server ran.
    per_second: f64,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
}

impl From<Figures> for ActivityFigures {
    fn from(figures: Figures) -> Self {
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let seen = figures.percentiles;
        Self {
            count: figures.count,
            per_second: figures.per_second,
            p50_ms: seen.map(|seen| ms(seen.p50)),
            p90_ms: seen.map(|seen| ms(seen.p90)),
            p95_ms: seen.map(|seen| ms(seen.p95)),
            p99_ms: seen.map(|seen| ms(seen.p99)),
            max_ms: seen.map(|seen| ms(seen.max)),
        }
    }
}

impl PerformanceResponse {
    fn of(report: &PerformanceReport, timestamp: Timestamp) -> Self {
        let windows = |activity| {
            let [minute, five_minutes, hour] = report.of(activity).map(ActivityFigures::from);
            ActivityWindows { last_minute: minute, last_5_minutes: five_minutes, last_hour: hour }
        };
        Self {
            queries: windows(Activity::Query),
            tools: windows(Activity::Tool),
            hooks: windows(Activity::Hook),
            permission_checks: windows(Activity::PermissionCheck),
            timestamp,
        }
    }
}

/// Say how fast the server is
///
/// For admins: it tells of what everybody's sessions do together. Each server tells of itself.
#[api_v2_operation(tags(Monitoring), operation_id = "getPerformance")]
pub async fn performance(
    state: Data<ApiState>,
    caller: Caller,
) -> Result<Fetched<PerformanceResponse>, Fail<(Forbidden, NotFound)>> {
    if caller.0.role != Role::Admin {
        let why = "only admins see how fast everybody's sessions are";
        return Err(problem(engine::Error::Forbidden(why)).into());
    }
    let report = state.metrics.performance().ok_or_else(switched_off)?;
    Ok(Fetched::new(PerformanceResponse::of(&report, state.clock.now())))
}

fn switched_off() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "METRICS_OFF", "this server collects no metrics")
}

/// A session's figures, with its duration under the name that it has here.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionMetricsResponse {
    session_id: Uuid,
    /// As `duration_ms`.
    total_duration_ms: Option<u64>,
    #[serde(flatten)]
    figures: MetricsSnapshot,
}

/// Read a session's figures
///
/// What it has done and cost until now, over its turns.
#[api_v2_operation(tags(Monitoring), operation_id = "getSessionMetrics")]
pub async fn of_session(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<SessionMetricsResponse>, Fail<(NotFound, Unavailable)>> {
    let measured = state.sessions.measure(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    let figures = MetricsSnapshot::from(measured);
    let response =
        SessionMetricsResponse { session_id: id.0, total_duration_ms: figures.duration_ms, figures };
    Ok(Fetched::new(response))
}
