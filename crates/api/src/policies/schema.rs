//! `GET /policies/schema`.

use crate::{ApiState, caller::Caller};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Unavailable};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;

/// What policies can speak of.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PolicySchemaResponse {
    /// In the Cedar schema language; editors and the `cedar` command understand it.
    schema: &'static str,
}

/// Read the schema of policies
///
/// Every policy is checked against it before it is stored.
#[api_v2_operation(tags(Policies), operation_id = "getPolicySchema")]
pub async fn read(
    state: Data<ApiState>,
    _caller: Caller,
) -> Result<Fetched<PolicySchemaResponse>, Fail<(Unavailable,)>> {
    Ok(Fetched::new(PolicySchemaResponse { schema: state.policies.schema() }))
}
