//! `GET /admin/sessions`.

use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, Here},
    sessions::{list::Sort, response::SessionResponse},
    word::Word,
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, Unavailable, ValidQuery};
use domain::{PageRequest, SessionMode, SessionStatus, UserId, session::SessionFilter};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// Which sessions to list.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct AdminSessionListQuery {
    /// Whose; left out: everybody's.
    user_id: Option<Uuid>,
    status: Option<Word<SessionStatus>>,
    mode: Option<Word<SessionMode>>,
    /// Part of the name or description, in any case.
    #[validate(length(min = 1, max = 255))]
    q: Option<String>,
    created_after: Option<Timestamp>,
    created_before: Option<Timestamp>,
    #[serde(default)]
    sort: Sort,
    #[serde(default = "limit_default")]
    #[validate(range(min = 1, max = 100))]
    limit: u32,
    /// `next_cursor` of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
    #[serde(default)]
    skip: u32,
}

fn limit_default() -> u32 {
    COLLECTION_LIMIT_DEFAULT
}

/// List all sessions
///
/// For admins: everybody's, or one user's. A user that is not there has none.
#[api_v2_operation(tags(Admin), operation_id = "listAllSessions")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<AdminSessionListQuery>,
) -> Result<Fetched<Collection<SessionResponse>>, Fail<(Forbidden, Invalid, Unavailable)>> {
    let query = query.0;
    let request = PageRequest { limit: query.limit, cursor: query.cursor, skip: query.skip };
    let filter = SessionFilter {
        status: query.status.map(|word| word.0),
        mode: query.mode.map(|word| word.0),
        parent_session_id: None,
        template_id: None,
        q: query.q,
        created_after: query.created_after,
        created_before: query.created_before,
        sort: query.sort.into(),
    };
    let owner = query.user_id.map(UserId);
    let page = state.sessions.list_of(&caller.0, owner, &filter, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(SessionResponse::from), &request)))
}
