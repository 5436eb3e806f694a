//! `GET /policies` and `/policies/{name}/versions`.

use super::response::PolicyResponse;
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, Here},
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, NotFound, PathParams, Unavailable, ValidQuery};
use domain::PageRequest;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// Which part of the list is wanted.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PolicyListQuery {
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

impl PolicyListQuery {
    fn request(self) -> PageRequest {
        PageRequest { limit: self.limit, cursor: self.cursor, skip: self.skip }
    }
}

/// List the policies
///
/// Each in its newest version, the last created first.
#[api_v2_operation(tags(Policies), operation_id = "listPolicies")]
pub async fn list(
    state: Data<ApiState>,
    _caller: Caller,
    here: Here,
    query: ValidQuery<PolicyListQuery>,
) -> Result<Fetched<Collection<PolicyResponse>>, Fail<(Invalid, Unavailable)>> {
    let request = query.0.request();
    let page = state.policies.list(&request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(PolicyResponse::from), &request)))
}

/// List the versions of a policy
///
/// Newest first; also those of a deleted one.
#[api_v2_operation(tags(Policies), operation_id = "listPolicyVersions")]
pub async fn versions(
    state: Data<ApiState>,
    _caller: Caller,
    name: PathParams<String>,
    here: Here,
    query: ValidQuery<PolicyListQuery>,
) -> Result<Fetched<Collection<PolicyResponse>>, Fail<(NotFound, Invalid, Unavailable)>> {
    let request = query.0.request();
    let page = state.policies.versions(&name.0, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(PolicyResponse::from), &request)))
}
