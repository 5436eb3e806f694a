//! `GET /sessions/{id}/permissions`.

use crate::{ApiState, caller::Caller, error::problem, page::Here, word::Word};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Linked, NotFound, PathParams, Unavailable, ValidQuery};
use domain::{DecisionFilter, PageRequest, PermissionDecision, SessionId, Verdict};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use validator::Validate;

/// Which decisions are wanted.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct DecisionQuery {
    decision: Option<Word<Verdict>>,
    #[validate(length(min = 1, max = 255))]
    tool_name: Option<String>,
    #[serde(default = "super::limit_default")]
    #[validate(range(min = 1, max = 1000))]
    limit: u32,
    /// From the `Link` header of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
}

/// What was decided about one tool call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PermissionDecisionResponse {
    id: Uuid,
    session_id: Uuid,
    turn_id: Option<Uuid>,
    tool_name: String,
    /// The model's id of the call.
    tool_use_id: Option<String>,
    /// The input that was judged. Of a very large one the texts are cut, and `context.input_is_cut` is true.
    input_data: Value,
    /// The working directory, the permission mode and the subagent.
    context: Value,
    /// `abstain`: no policy minded, and the agent's own rules and mode decided.
    decision: Word<Verdict>,
    reason: String,
    /// The policy that decided: `tools`, `commands`, `network`, `paths`, `background` (the tools that a background
    /// session was given), `canary` (the program reserved for trying whether denying works) or a custom one.
    /// `approval`: a person, the end of their time, or that nobody is asked. `none` if none minded.
    policy: String,
    policy_version: Option<u32>,
    /// The rule of the policy that decided.
    rule: String,
    decided_by: DeciderWord,
    /// The person who decided, if one did.
    decided_by_user_id: Option<Uuid>,
    /// Whether the decision ended the turn as well. No policy and no approval does, so it is `false`.
    interrupted: bool,
    decided_at: Timestamp,
}

/// Who decided.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeciderWord {
    /// A policy, by itself.
    Policy,
    /// A person.
    User,
    /// Nobody answered in time.
    Expiry,
    /// A policy could not judge, so the answer was no.
    Failure,
}

impl From<domain::DecidedBy> for DeciderWord {
    fn from(by: domain::DecidedBy) -> Self {
        match by {
            domain::DecidedBy::Policy => Self::Policy,
            domain::DecidedBy::User(_) => Self::User,
            domain::DecidedBy::Expiry => Self::Expiry,
            domain::DecidedBy::Failure => Self::Failure,
        }
    }
}

impl From<PermissionDecision> for PermissionDecisionResponse {
    fn from(decision: PermissionDecision) -> Self {
        let opinion = decision.opinion;
        Self {
            id: decision.id.0,
            session_id: decision.session_id.0,
            turn_id: decision.turn_id.map(|id| id.0),
            tool_name: decision.tool_name,
            tool_use_id: decision.tool_use_id,
            input_data: decision.input_data,
            context: decision.context,
            decision: Word(opinion.verdict),
            reason: opinion.reason,
            policy: opinion.policy,
            policy_version: opinion.version,
            rule: opinion.rule,
            decided_by: decision.decided_by.into(),
            decided_by_user_id: decision.decided_by.user().map(|id| id.0),
            interrupted: decision.interrupted,
            decided_at: decision.decided_at,
        }
    }
}

/// List what was decided about a session's tool calls
///
/// Newest first. Every tool call is judged and on record before it runs, whatever the permission mode.
#[api_v2_operation(tags(Sessions), operation_id = "listPermissionDecisions")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<DecisionQuery>,
) -> Result<Linked<Fetched<Vec<PermissionDecisionResponse>>>, Fail<(NotFound, Invalid, Unavailable)>> {
    let DecisionQuery { decision, tool_name, limit, cursor } = query.0;
    let filter = DecisionFilter { decision: decision.map(|word| word.0), tool_name };
    let page = PageRequest { limit, cursor, skip: 0 };
    let page = state.sessions.decisions(&caller.0, SessionId(id.0), &filter, &page).await.map_err(problem)?;
    let next = here.next(page.next_cursor.as_deref());
    let decisions = page.items.into_iter().map(PermissionDecisionResponse::from).collect();
    Ok(Linked::next(Fetched::new(decisions), next.as_deref()))
}
