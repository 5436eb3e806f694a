//! `POST /policies/evaluate`: nothing runs, and nothing is recorded.

use super::response::OpinionResponse;
use crate::{ApiState, caller::Caller, error::problem, sessions::create::PermissionMode};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, NotFound, Unavailable, Valid};
use domain::SessionId;
use engine::{Evaluation, TriedCall};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;
use validator::Validate;

/// A tool call, and who is to judge it.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PolicyEvaluateRequest {
    #[validate(length(min = 1, max = 255))]
    tool_name: String,
    /// As the agent would send it: `{"command": "git push"}`.
    #[serde(default)]
    tool_input: Map<String, Value>,
    /// The session that would make the call; left out, it is a new one of the caller's.
    session_id: Option<Uuid>,
    /// The agent's working directory, absolute; left out, it is the session's.
    #[validate(length(min = 1, max = 1024), custom(function = "absolute"))]
    #[schemars(extend("pattern" = "^/"))]
    cwd: Option<String>,
    permission_mode: Option<PermissionMode>,
    /// The subagent that would make the call.
    #[validate(length(min = 1, max = 255))]
    agent_id: Option<String>,
    /// Policies to be asked beside those that judge in the session.
    #[serde(default)]
    #[validate(length(max = 100))]
    policies: Vec<String>,
    /// The text of a policy that is not stored, to be asked as well.
    text: Option<String>,
}

/// What would become of the call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PolicyEvaluateResponse {
    /// The opinion that decides.
    #[serde(flatten)]
    decisive: OpinionResponse,
    /// What each policy says, the built-in ones first.
    opinions: Vec<OpinionResponse>,
}

fn absolute(path: &str) -> Result<(), validator::ValidationError> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(validator::ValidationError::new("path").with_message("must be absolute".into()))
}

impl From<PolicyEvaluateRequest> for TriedCall {
    fn from(request: PolicyEvaluateRequest) -> Self {
        Self {
            tool_name: request.tool_name,
            tool_input: Value::Object(request.tool_input),
            session_id: request.session_id.map(SessionId),
            cwd: request.cwd.map(Into::into),
            permission_mode: request.permission_mode.map(|mode| mode.as_str().to_owned()),
            agent_id: request.agent_id,
            policies: request.policies,
            text: request.text,
        }
    }
}

impl From<Evaluation> for PolicyEvaluateResponse {
    fn from(evaluation: Evaluation) -> Self {
        Self {
            decisive: evaluation.opinion.into(),
            opinions: evaluation.opinions.into_iter().map(OpinionResponse::from).collect(),
        }
    }
}

/// Try policies on a tool call
///
/// All policies that would judge in the session are asked, and those that are named here. Nothing runs, and nothing is
/// recorded.
#[api_v2_operation(tags(Policies), operation_id = "evaluatePolicies")]
pub async fn evaluate(
    state: Data<ApiState>,
    caller: Caller,
    body: Valid<PolicyEvaluateRequest>,
) -> Result<Fetched<PolicyEvaluateResponse>, Fail<(Forbidden, NotFound, Invalid, Unavailable)>> {
    let evaluation = state.policies.evaluate(&caller.0, body.0.into()).await.map_err(problem)?;
    Ok(Fetched::new(evaluation.into()))
}
