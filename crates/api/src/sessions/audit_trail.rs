//! `GET /sessions/{id}/audit-trail`: the journal as one time line.

use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{HISTORY_LIMIT_DEFAULT, Here},
    stream::event::JournalEvent,
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Linked, NotFound, PathParams, Unavailable, ValidQuery};
use domain::SessionId;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// Which part of the journal is wanted.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct AuditTrailQuery {
    #[serde(default = "limit_default")]
    #[validate(range(min = 1, max = 1000))]
    limit: u32,
    /// Events after the one of this number.
    #[serde(default)]
    cursor: u64,
}

fn limit_default() -> u32 {
    HISTORY_LIMIT_DEFAULT
}

/// List everything that happened in a session
///
/// Oldest first.
#[api_v2_operation(tags(Sessions), operation_id = "getAuditTrail")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<AuditTrailQuery>,
) -> Result<Linked<Fetched<Vec<JournalEvent>>>, Fail<(NotFound, Unavailable)>> {
    let AuditTrailQuery { limit, cursor } = query.0;
    let page = state.sessions.events(&caller.0, SessionId(id.0), cursor, limit).await.map_err(problem)?;
    let next = here.next(page.next_cursor.as_deref());
    let events = page.items.into_iter().map(JournalEvent::from).collect();
    Ok(Linked::next(Fetched::new(events), next.as_deref()))
}
