//! `POST /sessions/{id}/pause`, `/resume`, `/wake` and `/interrupt`.

use super::response::SessionResponse;
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{
    Accepted, Conflict, Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, Unavailable, ValidOr,
};
use domain::SessionId;
use engine::ForkDraft;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// How to resume.
#[derive(Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Leaves the session as it is and answers with a fork of it.
    #[serde(default)]
    fork: bool,
}

/// Set a session aside
///
/// A running turn is interrupted; prompts are refused until the session is resumed.
#[api_v2_operation(tags(Sessions), operation_id = "pauseSession")]
pub async fn pause(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<SessionResponse>, Fail<(Forbidden, NotFound, Conflict, Unavailable)>> {
    let session = state.sessions.pause(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(session.into()))
}

/// Take a session up again
///
/// A paused one takes prompts again, and so does a completed or failed background session. Its agent is started ahead
/// of the next prompt.
#[api_v2_operation(tags(Sessions), operation_id = "resumeSession")]
pub async fn resume(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    body: ValidOr<ResumeRequest>,
) -> Result<Fetched<SessionResponse>, Fail<(Forbidden, NotFound, Conflict, Invalid, Unavailable)>> {
    let (sessions, caller, id) = (&state.sessions, &caller.0, SessionId(id.0));
    let session = match body.0.fork {
        true => sessions.fork(caller, id, ForkDraft::default()).await,
        false => sessions.resume(caller, id).await,
    };
    let session = session.map_err(problem)?;
    Ok(Fetched::new(session.into()))
}

/// Start a session's agent ahead of the prompt
///
/// The next prompt finds it ready, if a slot is free for it; no other agent is closed for this. Answers at once.
#[api_v2_operation(tags(Sessions), operation_id = "wakeSession")]
pub async fn wake(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Accepted<SessionResponse>, Fail<(Forbidden, NotFound, Conflict, Unavailable)>> {
    let session = state.sessions.wake(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    Ok(Accepted::at(session.into(), format!("/api/v1/sessions/{}", id.0)))
}

/// Stop the running turn
///
/// Answers when it has stopped; without a running turn there is nothing to do. Queued turns stay queued.
#[api_v2_operation(tags(Sessions), operation_id = "interruptSession")]
pub async fn interrupt(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<SessionResponse>, Fail<(Forbidden, NotFound, Conflict, Unavailable)>> {
    let session = state.sessions.interrupt(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    Ok(Fetched::new(session.into()))
}
