//! `POST /policies`, `PUT` and `DELETE /policies/{name}`: for admins.

use super::{one::tagged, response::PolicyResponse};
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    etag::{IfMatch, Tagged},
    plain,
};
use actix_web::web::Data;
use apidoc::{
    Conflict, Created, Done, Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, PreconditionFailed,
    Unavailable, Valid,
};
use domain::{Expected, PolicyContent};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// A new policy.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PolicyCreateRequest {
    /// Lower-case letters, digits, `-`, `_` and `.`; sessions choose it by this.
    #[validate(length(min = 1, max = 64))]
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9._-]*$"))]
    name: String,
    /// In Cedar, see `/policies/schema`; at most 64 KiB.
    text: String,
    #[validate(length(max = 10_000), custom(function = "plain::lines"))]
    #[schemars(extend("pattern" = plain::LINES))]
    description: Option<String>,
    /// Whether it judges in every session, chosen or not.
    #[serde(default)]
    mandatory: bool,
}

/// The next version of a policy, whole.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PolicyReplaceRequest {
    /// The version this was made from; if it is not the newest any more, nothing is changed.
    version: u32,
    /// In Cedar, see `/policies/schema`; at most 64 KiB.
    text: String,
    #[validate(length(max = 10_000), custom(function = "plain::lines"))]
    #[schemars(extend("pattern" = plain::LINES))]
    description: Option<String>,
    /// Whether it judges in every session, chosen or not.
    #[serde(default)]
    mandatory: bool,
}

/// Store a policy
///
/// The text is checked first; each fault comes with its line and column.
#[api_v2_operation(tags(Policies), operation_id = "createPolicy")]
pub async fn create(
    state: Data<ApiState>,
    caller: Caller,
    body: Valid<PolicyCreateRequest>,
) -> Result<Created<PolicyResponse>, Fail<(Forbidden, Conflict, Invalid, Unavailable)>> {
    let PolicyCreateRequest { name, text, description, mandatory } = body.0;
    let content = PolicyContent { text, description, is_mandatory: mandatory };
    let policy = state.policies.create(&caller.0, name, content).await.map_err(problem)?;
    let location = format!("/api/v1/policies/{}", policy.name);
    Ok(Created::at(policy.into(), location))
}

/// Change a policy
///
/// The change is a new version, and judges from the next tool call on. The one before stays readable.
#[api_v2_operation(tags(Policies), operation_id = "replacePolicy")]
pub async fn replace(
    state: Data<ApiState>,
    caller: Caller,
    name: PathParams<String>,
    if_match: IfMatch,
    body: Valid<PolicyReplaceRequest>,
) -> Result<
    Tagged<Fetched<PolicyResponse>>,
    Fail<(Forbidden, NotFound, Conflict, PreconditionFailed, Invalid, Unavailable)>,
> {
    let PolicyReplaceRequest { version, text, description, mandatory } = body.0;
    let content = PolicyContent { text, description, is_mandatory: mandatory };
    if if_match.0 != Expected::ANY {
        // Versions do not change, and the store compares them: what is the newest here is so there, or refused.
        let newest = state.policies.get(&name.0).await.map_err(problem)?;
        if_match.0.admit(&newest).map_err(|changed| problem(changed.into()))?;
    }
    let replaced = state.policies.replace(&caller.0, name.0, version, content).await;
    Ok(tagged(replaced.map_err(problem)?))
}

/// Delete a policy
///
/// Tool calls of sessions that chose it are denied until they choose others. Its versions stay readable.
#[api_v2_operation(tags(Policies), operation_id = "deletePolicy")]
pub async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    name: PathParams<String>,
    if_match: IfMatch,
) -> Result<Done, Fail<(Forbidden, NotFound, PreconditionFailed, Unavailable)>> {
    state.policies.delete(&caller.0, &name.0, &if_match.0).await.map_err(problem)?;
    Ok(Done)
}
