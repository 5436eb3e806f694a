//! `GET /hooks`.

use super::response::HookResponse;
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, Here},
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Unavailable, ValidQuery};
use domain::PageRequest;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// Which hooks to list.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct HookListQuery {
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

/// List the caller's hooks
///
/// Newest first.
#[api_v2_operation(tags(Hooks), operation_id = "listHooks")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<HookListQuery>,
) -> Result<Fetched<Collection<HookResponse>>, Fail<(Invalid, Unavailable)>> {
    let HookListQuery { limit, cursor, skip } = query.0;
    let request = PageRequest { limit, cursor, skip };
    let page = state.sessions.hooks(&caller.0, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(HookResponse::from), &request)))
}
