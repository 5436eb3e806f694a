//! `/sessions/{id}/approvals` and `/approvals`: what waits for a person's word, and the word.

mod answer;

pub use answer::{ANSWER_REASON_CHARS_MAX, AnswerRequest, AnswerWord, Answers, Remember};

use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, HISTORY_LIMIT_DEFAULT, Here},
    word::Word,
};
use actix_web::web::Data;
use apidoc::{
    Conflict, Fail, Fetched, Forbidden, Invalid, Linked, NotFound, PathParams, Unavailable, Valid, ValidQuery,
};
use domain::{Approval, ApprovalId, ApprovalKind, ApprovalStatus, PageRequest, SessionId, Verdict};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use validator::Validate;

/// A question to a person and what became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ApprovalResponse {
    id: Uuid,
    session_id: Uuid,
    turn_id: Uuid,
    /// `tool`: may it run? `question`: the model asks something, see `tool_input.questions`. `plan`: is it carried out?
    kind: Word<ApprovalKind>,
    status: Word<ApprovalStatus>,
    tool_name: String,
    /// The model's id of the call.
    tool_use_id: String,
    tool_input: Value,
    /// Set when a subagent asks.
    agent_id: Option<String>,
    title: Option<String>,
    /// What the call is for, in the model's words.
    description: Option<String>,
    /// Why a person is asked.
    reason: Option<String>,
    /// The policy that asked and its rule; null when the agent asked by itself.
    policy: Option<String>,
    rule: Option<String>,
    /// Rule changes the agent suggests. Of them, `remember` keeps the rules that allow calls.
    suggestions: Value,
    /// What holds when nobody answers in time.
    default_decision: AnswerWord,
    expires_at: Timestamp,
    decided_at: Option<Timestamp>,
    /// Who answered; null when nobody did.
    decided_by: Option<Uuid>,
    /// What they said about it; the model reads it.
    decision_reason: Option<String>,
    /// What runs in place of `tool_input`.
    updated_input: Option<Value>,
    /// Whether such calls run in this session from now on.
    remember: bool,
    /// When an agent learned of the decision.
    delivered_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl From<Approval> for ApprovalResponse {
    fn from(approval: Approval) -> Self {
        let default_decision = match approval.default_verdict {
            Verdict::Allow => AnswerWord::Allow,
            Verdict::Abstain | Verdict::Ask | Verdict::Deny => AnswerWord::Deny,
        };
        Self {
            id: approval.id.0,
            session_id: approval.session_id.0,
            turn_id: approval.turn_id.0,
            kind: Word(approval.kind),
            status: Word(approval.status),
            tool_name: approval.tool_name,
            tool_use_id: approval.tool_use_id,
            tool_input: approval.tool_input,
            agent_id: approval.agent_id,
            title: approval.title,
            description: approval.description,
            reason: approval.reason,
            policy: approval.policy,
            rule: approval.rule,
            suggestions: approval.suggestions,
            default_decision,
            expires_at: approval.expires_at,
            decided_at: approval.decided_at,
            decided_by: approval.decided_by.map(|id| id.0),
            decision_reason: approval.decision_reason,
            updated_input: approval.updated_input,
            remember: approval.remember,
            delivered_at: approval.delivered_at,
            created_at: approval.created_at,
        }
    }
}

/// Which approvals of a session to list.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ApprovalListQuery {
    status: Option<Word<ApprovalStatus>>,
    #[serde(default = "history_limit_default")]
    #[validate(range(min = 1, max = 1000))]
    limit: u32,
    /// From the `Link` header of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
}

/// Which part of everything that waits to list.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PendingQuery {
    #[serde(default = "collection_limit_default")]
    #[validate(range(min = 1, max = 100))]
    limit: u32,
    /// `next_cursor` of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
}

fn history_limit_default() -> u32 {
    HISTORY_LIMIT_DEFAULT
}

fn collection_limit_default() -> u32 {
    COLLECTION_LIMIT_DEFAULT
}

/// List a session's approvals
///
/// Newest first.
#[api_v2_operation(tags(Approvals), operation_id = "listApprovals")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    here: Here,
    query: ValidQuery<ApprovalListQuery>,
) -> Result<Linked<Fetched<Vec<ApprovalResponse>>>, Fail<(NotFound, Invalid, Unavailable)>> {
    let ApprovalListQuery { status, limit, cursor } = query.0;
    let (status, request) = (status.map(|word| word.0), PageRequest { limit, cursor, skip: 0 });
    let page =
        state.sessions.approvals(&caller.0, SessionId(id.0), status, &request).await.map_err(problem)?;
    let next = here.next(page.next_cursor.as_deref());
    let approvals = page.items.into_iter().map(ApprovalResponse::from).collect();
    Ok(Linked::next(Fetched::new(approvals), next.as_deref()))
}

/// List everything that waits for a person
///
/// Newest first: what the caller's sessions wait for; for an admin, everybody's.
#[api_v2_operation(tags(Approvals), operation_id = "listPendingApprovals")]
pub async fn pending(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<PendingQuery>,
) -> Result<Fetched<Collection<ApprovalResponse>>, Fail<(Invalid, Unavailable)>> {
    let request = PageRequest { limit: query.0.limit, cursor: query.0.cursor, skip: 0 };
    let page = state.sessions.pending_approvals(&caller.0, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(ApprovalResponse::from), &request)))
}

/// Answer an approval
///
/// The first answer stands; later ones get 409 with the one that does. A changed input is judged by the policies again.
/// After the server ended while its agent waited, a yes lets the session go on with a turn of its own.
#[api_v2_operation(tags(Approvals), operation_id = "answerApproval")]
pub async fn answer(
    state: Data<ApiState>,
    caller: Caller,
    path: PathParams<(Uuid, Uuid)>,
    body: Valid<AnswerRequest>,
) -> Result<Fetched<ApprovalResponse>, Fail<(Forbidden, NotFound, Conflict, Invalid, Unavailable)>> {
    let (id, approval_id) = path.0;
    let (id, approval_id) = (SessionId(id), ApprovalId(approval_id));
    let answered = state.sessions.answer(&caller.0, id, approval_id, body.0.into()).await.map_err(problem)?;
    Ok(Fetched::new(answered.into()))
}
