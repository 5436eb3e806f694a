//! `/health/live`, `/health/ready` and `/monitoring/health`: for orchestrators and for people.

use crate::ApiState;
use actix_web::{http::StatusCode, web::Data};
use apidoc::{Fail, Fetched, Problem, Unavailable};
use jiff::Timestamp;
use monitoring::{CheckResult, Report, Status};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// When to ask again whether the server is ready.
const RETRY_AFTER_SECONDS: u64 = 5;

/// A yes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProbeResponse {
    status: ProbeStatus,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ProbeStatus {
    Live,
    Ready,
}

/// How the server and everything it needs are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HealthResponse {
    status: HealthStatus,
    checks: BTreeMap<&'static str, CheckResponse>,
    timestamp: Timestamp,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum HealthStatus {
    Healthy,
    /// It works, but something it could do without fails.
    Degraded,
    /// Something it needs fails.
    Unhealthy,
}

/// What one check found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckResponse {
    healthy: bool,
    /// Whether the server cannot work without it.
    required: bool,
    /// What was found, or why not and what to do.
    detail: Option<String>,
    duration_ms: u64,
}

impl From<&CheckResult> for CheckResponse {
    fn from(result: &CheckResult) -> Self {
        let CheckResult { healthy, required, detail, duration_ms } = result.clone();
        Self { healthy, required, detail, duration_ms }
    }
}

impl HealthResponse {
    fn of(report: &Report, timestamp: Timestamp) -> Self {
        let status = match report.status {
            Status::Healthy => HealthStatus::Healthy,
            Status::Degraded => HealthStatus::Degraded,
            Status::Unhealthy => HealthStatus::Unhealthy,
        };
        let checks = report.checks.iter().map(|(name, result)| (*name, result.into())).collect();
        Self { status, checks, timestamp }
    }
}

/// Say that the process runs
#[api_v2_operation(tags(Health), operation_id = "getLiveness")]
pub async fn live() -> Result<Fetched<ProbeResponse>, Fail<()>> {
    Ok(Fetched::new(ProbeResponse { status: ProbeStatus::Live }))
}

/// Say whether requests may be sent here
///
/// 503 while something the server needs fails, with what to do about it, and while it shuts down.
#[api_v2_operation(tags(Health), operation_id = "getReadiness")]
pub async fn ready(state: Data<ApiState>) -> Result<Fetched<ProbeResponse>, Fail<(Unavailable,)>> {
    if state.sessions.is_draining() {
        return Err(not_ready("SHUTTING_DOWN", "this server is shutting down").into());
    }
    let report = state.health.report().await;
    if !report.is_ready() {
        return Err(not_ready("NOT_READY", &failures(&report)).into());
    }
    Ok(Fetched::new(ProbeResponse { status: ProbeStatus::Ready }))
}

/// Say how everything is
#[api_v2_operation(tags(Health), operation_id = "getHealth")]
pub async fn health(state: Data<ApiState>) -> Result<Fetched<HealthResponse>, Fail<()>> {
    let report = state.health.report().await;
    Ok(Fetched::new(HealthResponse::of(&report, state.clock.now())))
}

fn not_ready(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_SECONDS)
}

/// Every check without which the server cannot work and that fails, with its reason.
fn failures(report: &Report) -> String {
    let failed = report.checks.iter().filter(|(_, result)| result.required && !result.healthy);
    let words = failed.map(|(name, result)| {
        format!("{name}: {}", result.detail.as_deref().unwrap_or("failed without saying why"))
    });
    words.collect::<Vec<_>>().join("; ")
}
