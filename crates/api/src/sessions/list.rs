//! `GET /sessions`.

use super::response::SessionResponse;
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, Here},
    word::Word,
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Unavailable, ValidQuery};
use domain::{
    PageRequest, SessionId, SessionMode, SessionStatus, TemplateId,
    session::{SessionFilter, SessionSort},
};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use validator::Validate;

/// Which sessions to list.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct SessionListQuery {
    status: Option<Word<SessionStatus>>,
    mode: Option<Word<SessionMode>>,
    template_id: Option<Uuid>,
    parent_session_id: Option<Uuid>,
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
    /// Kept for old clients; ignored beside a cursor.
    #[serde(default)]
    skip: u32,
}

/// The order of the list; a minus is descending.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub enum Sort {
    #[serde(rename = "created_at")]
    CreatedAscending,
    #[default]
    #[serde(rename = "-created_at")]
    CreatedDescending,
    #[serde(rename = "updated_at")]
    UpdatedAscending,
    #[serde(rename = "-updated_at")]
    UpdatedDescending,
}

fn limit_default() -> u32 {
    COLLECTION_LIMIT_DEFAULT
}

impl From<Sort> for SessionSort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::CreatedAscending => Self::CreatedAscending,
            Sort::CreatedDescending => Self::CreatedDescending,
            Sort::UpdatedAscending => Self::UpdatedAscending,
            Sort::UpdatedDescending => Self::UpdatedDescending,
        }
    }
}

/// List the caller's sessions
///
/// An admin sees everybody's.
#[api_v2_operation(tags(Sessions), operation_id = "listSessions")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<SessionListQuery>,
) -> Result<Fetched<Collection<SessionResponse>>, Fail<(Invalid, Unavailable)>> {
    let query = query.0;
    let request = PageRequest { limit: query.limit, cursor: query.cursor, skip: query.skip };
    let filter = SessionFilter {
        status: query.status.map(|word| word.0),
        mode: query.mode.map(|word| word.0),
        parent_session_id: query.parent_session_id.map(SessionId),
        template_id: query.template_id.map(TemplateId),
        q: query.q,
        created_after: query.created_after,
        created_before: query.created_before,
        sort: query.sort.into(),
    };
    let page = state.sessions.list(&caller.0, &filter, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(SessionResponse::from), &request)))
}
