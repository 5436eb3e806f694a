//! `/health/live`, `/health/ready` and `/monitoring/health`: for orchestrators and for people.
//!
//! Everybody may ask whether the server is well: orchestrators have no credential. What was found, and why something
//! fails, tells of versions, paths, addresses and other people's servers, so that is for admins, and in the log.

pub mod parts;

use crate::{ApiState, caller::Sees};
use actix_web::{http::StatusCode, web::Data};
use apidoc::{Fail, Fetched, Problem, Unavailable};
use jiff::Timestamp;
use monitoring::{CheckResult, PartResult, Report, Status};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// The name of the check of MCP servers, whose parts they are.
pub const MCP_SERVERS: &str = "mcp_servers";
/// The name of the check of the archive store where that is S3, and where it is the local disk.
pub const S3_STORAGE: &str = "s3_storage";
pub const STORAGE: &str = "storage";

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
    checks: ChecksResponse,
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

/// What each check found, by its name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChecksResponse {
    #[serde(flatten)]
    checks: BTreeMap<&'static str, CheckResponse>,
    /// MCP servers of live sessions, by name; for admins. One that fails degrades the server.
    mcp_servers: BTreeMap<String, PartResponse>,
}

/// What one check found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckResponse {
    healthy: bool,
    /// Whether the server cannot work without it.
    required: bool,
    /// What was found, or why not and what to do; for admins.
    detail: Option<String>,
    /// How long it took.
    duration_ms: u64,
    /// How long ago that was.
    age_ms: u64,
}

/// What one check found of one thing.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PartResponse {
    healthy: bool,
    /// What was found, or why not and what to do; for admins.
    detail: Option<String>,
}

impl CheckResponse {
    fn of(result: &CheckResult, sees: Sees) -> Self {
        let CheckResult { healthy, required, duration_ms, age_ms, .. } = *result;
        Self { healthy, required, detail: shown(result.detail.as_ref(), sees), duration_ms, age_ms }
    }
}

impl PartResponse {
    fn of(result: &PartResult, sees: Sees) -> Self {
        Self { healthy: result.healthy, detail: shown(result.detail.as_ref(), sees) }
    }
}

impl HealthResponse {
    fn of(report: &Report, sees: Sees, timestamp: Timestamp) -> Self {
        let status = match report.status {
            Status::Healthy => HealthStatus::Healthy,
            Status::Degraded => HealthStatus::Degraded,
            Status::Unhealthy => HealthStatus::Unhealthy,
        };
        Self { status, checks: ChecksResponse::of(report, sees), timestamp }
    }
}

impl ChecksResponse {
    fn of(report: &Report, sees: Sees) -> Self {
        let others = report.checks.iter().filter(|(name, _)| **name != MCP_SERVERS);
        let checks = others.map(|(name, result)| (*name, CheckResponse::of(result, sees))).collect();
        let result = report.checks.get(MCP_SERVERS).filter(|_| sees == Sees::All);
        let servers = result.into_iter().flat_map(|result| &result.parts);
        let mut mcp_servers: BTreeMap<_, _> =
            servers.map(|(name, part)| (name.clone(), PartResponse::of(part, sees))).collect();
        // The check itself failed, and no server can be named.
        if let Some(failed) = result.filter(|result| !result.healthy && result.parts.is_empty()) {
            let detail = failed.detail.clone();
            mcp_servers.insert("*".to_owned(), PartResponse { healthy: false, detail });
        }
        Self { checks, mcp_servers }
    }
}

/// Whether a path asks for health.
pub(crate) fn is_about(path: &str) -> bool {
    path.starts_with("/health/") || path.starts_with("/api/v1/monitoring/health")
}

/// Say that the process runs
///
/// It looks at nothing else; a probe that fails means that the process is to be started again.
#[api_v2_operation(tags(Health), operation_id = "getLiveness")]
pub async fn live() -> Result<Fetched<ProbeResponse>, Fail<()>> {
    Ok(Fetched::new(ProbeResponse { status: ProbeStatus::Live }))
}

/// Say whether requests may be sent here
///
/// 503 while something the server needs fails, and while it shuts down. It names what fails; an admin is also told why and
/// what to do about it.
#[api_v2_operation(tags(Health), operation_id = "getReadiness")]
pub async fn ready(
    sees: Sees,
    state: Data<ApiState>,
) -> Result<Fetched<ProbeResponse>, Fail<(Unavailable,)>> {
    if state.leaving.is_cancelled() || state.sessions.is_draining() {
        return Err(not_ready("SHUTTING_DOWN", "this server is shutting down").into());
    }
    let report = state.health.report().await;
    if !report.is_ready() {
        return Err(not_ready("NOT_READY", &failures(&report, sees)).into());
    }
    Ok(Fetched::new(ProbeResponse { status: ProbeStatus::Ready }))
}

/// Say how everything is
///
/// Needs no credential. With an admin's it also says what was found and why something fails.
#[api_v2_operation(tags(Health), operation_id = "getHealth")]
pub async fn health(sees: Sees, state: Data<ApiState>) -> Result<Fetched<HealthResponse>, Fail<()>> {
    let report = state.health.report().await;
    Ok(Fetched::new(HealthResponse::of(&report, sees, state.clock.now())))
}

fn not_ready(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_SECONDS)
}

/// Every check without which the server cannot work and that fails, with its reason for who may see it.
fn failures(report: &Report, sees: Sees) -> String {
    let failed = report.checks.iter().filter(|(_, result)| result.required && !result.healthy);
    let words = failed.map(|(name, result)| match (sees, &result.detail) {
        (Sees::All, Some(why)) => format!("{name}: {why}"),
        (Sees::All, None) => format!("{name}: failed without saying why"),
        (Sees::Outcomes, _) => format!("{name} fails"),
    });
    words.collect::<Vec<_>>().join("; ")
}

fn shown(detail: Option<&String>, sees: Sees) -> Option<String> {
    detail.filter(|_| sees == Sees::All).cloned()
}
