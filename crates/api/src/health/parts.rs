//! `/monitoring/health/{database,sdk,storage}`: one thing at a time, without asking the others.

use super::{S3_STORAGE, STORAGE, shown};
use crate::{ApiState, caller::Sees};
use actix_web::web::Data;
use apidoc::{Fail, Fetched};
use monitoring::CheckResult;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;

/// How one thing is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ThingHealthResponse {
    healthy: bool,
    /// What was found, or why not and what to do; for admins.
    detail: Option<String>,
}

/// Whether agents can be started.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SdkHealthResponse {
    available: bool,
    /// Of the CLI; for admins.
    version: Option<String>,
    /// What was found, or why not and what to do; for admins.
    detail: Option<String>,
}

impl ThingHealthResponse {
    /// What is not checked is not known to be healthy.
    fn of(result: Option<CheckResult>, sees: Sees) -> Self {
        let healthy = result.as_ref().is_some_and(|result| result.healthy);
        Self { healthy, detail: shown(result.and_then(|result| result.detail).as_ref(), sees) }
    }
}

/// Say how the database is
///
/// Something is written to it and read. An admin is also told why it fails.
#[api_v2_operation(tags(Health), operation_id = "getDatabaseHealth")]
pub async fn database(sees: Sees, state: Data<ApiState>) -> Result<Fetched<ThingHealthResponse>, Fail<()>> {
    Ok(Fetched::new(ThingHealthResponse::of(state.health.check("database").await, sees)))
}

/// Say whether agents can be started
///
/// The CLI is started and has to answer, every few minutes and when it was changed; what that gave is remembered.
#[api_v2_operation(tags(Health), operation_id = "getSdkHealth")]
pub async fn sdk(sees: Sees, state: Data<ApiState>) -> Result<Fetched<SdkHealthResponse>, Fail<()>> {
    let result = state.health.check("claude_sdk").await;
    let available = result.as_ref().is_some_and(|result| result.healthy);
    let (version, detail) = result.map(|result| (result.version, result.detail)).unzip();
    let (version, detail) = (version.flatten(), detail.flatten());
    Ok(Fetched::new(SdkHealthResponse {
        available,
        version: shown(version.as_ref(), sees),
        detail: shown(detail.as_ref(), sees),
    }))
}

/// Say how the archive store is
///
/// Something is written to it, read and deleted, at most once a minute while that works.
#[api_v2_operation(tags(Health), operation_id = "getStorageHealth")]
pub async fn storage(sees: Sees, state: Data<ApiState>) -> Result<Fetched<ThingHealthResponse>, Fail<()>> {
    let result = match state.health.check(S3_STORAGE).await {
        Some(result) => Some(result),
        None => state.health.check(STORAGE).await,
    };
    Ok(Fetched::new(ThingHealthResponse::of(result, sees)))
}
