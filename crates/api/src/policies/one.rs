//! `GET /policies/{name}` and `/policies/{name}/versions/{version}`.

use super::response::PolicyResponse;
use crate::{ApiState, caller::Caller, error::problem, etag::Tagged};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, NotFound, PathParams, Unavailable};
use domain::CustomPolicy;
use paperclip::actix::api_v2_operation;

/// Read a policy
///
/// As its newest version has it.
#[api_v2_operation(tags(Policies), operation_id = "getPolicy")]
pub async fn get(
    state: Data<ApiState>,
    _caller: Caller,
    name: PathParams<String>,
) -> Result<Tagged<Fetched<PolicyResponse>>, Fail<(NotFound, Unavailable)>> {
    Ok(tagged(state.policies.get(&name.0).await.map_err(problem)?))
}

/// A policy with its state.
pub fn tagged(policy: CustomPolicy) -> Tagged<Fetched<PolicyResponse>> {
    let of = policy.clone();
    Tagged::new(Fetched::new(policy.into()), &of)
}

/// Read one version of a policy
///
/// Also after the policy was deleted: decisions name it.
#[api_v2_operation(tags(Policies), operation_id = "getPolicyVersion")]
pub async fn version(
    state: Data<ApiState>,
    _caller: Caller,
    path: PathParams<(String, u32)>,
) -> Result<Fetched<PolicyResponse>, Fail<(NotFound, Unavailable)>> {
    let (name, version) = path.0;
    Ok(Fetched::new(state.policies.version(&name, version).await.map_err(problem)?.into()))
}
