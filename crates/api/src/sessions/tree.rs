//! `GET /sessions/{id}/tree`.

use crate::{ApiState, caller::Caller, error::problem, word::Word};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, NotFound, PathParams, Unavailable};
use domain::{SessionId, SessionStatus, fork::Relative};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// A session and those it is related to by forking.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TreeResponse {
    /// The session that was asked for.
    session_id: Uuid,
    /// Parents before their children, at most 1000. The first is the one that all others descend from, as far as they
    /// are the caller's.
    members: Vec<TreeMember>,
}

/// A session in a tree.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TreeMember {
    id: Uuid,
    name: Option<String>,
    status: Word<SessionStatus>,
    /// Null for the first, also when its parent is gone or somebody else's.
    parent_session_id: Option<Uuid>,
    fork_at_message: Option<u64>,
    created_at: Timestamp,
}

impl TreeMember {
    fn of(relative: Relative, is_first: bool) -> Self {
        Self {
            id: relative.id.0,
            name: relative.name,
            status: Word(relative.status),
            parent_session_id: relative.parent_session_id.filter(|_| !is_first).map(|id| id.0),
            fork_at_message: relative.fork_at_message,
            created_at: relative.created_at,
        }
    }
}

/// Show what a session was forked from, and what was forked from that
///
/// The whole family, from the session that no other one was forked into, down to the last fork.
#[api_v2_operation(tags(Sessions), operation_id = "getSessionTree")]
pub async fn tree(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<TreeResponse>, Fail<(NotFound, Unavailable)>> {
    let family = state.sessions.family(&caller.0, SessionId(id.0)).await.map_err(problem)?;
    let members =
        family.into_iter().enumerate().map(|(index, relative)| TreeMember::of(relative, index == 0));
    Ok(Fetched::new(TreeResponse { session_id: id.0, members: members.collect() }))
}
