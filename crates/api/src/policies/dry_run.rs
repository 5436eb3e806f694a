//! `POST /policies/{name}/dry-run`: what a policy would have changed.

use super::response::OpinionResponse;
use crate::{ApiState, caller::Caller, error::problem, word::Word};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, Unavailable, Valid};
use domain::Verdict;
use engine::{Change, DryRun, DryRunReport, RunsOver};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use validator::Validate;

/// What is to be tried on which part of the past.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PolicyDryRunRequest {
    /// How far back.
    #[serde(default = "week")]
    #[validate(range(min = 1, max = 90))]
    days: u32,
    /// A text to be tried in the place of the stored one; the policy need not be stored then.
    text: Option<String>,
    #[serde(default)]
    sessions: DryRunSessions,
}

/// Whose decisions are looked at.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DryRunSessions {
    /// Those of all sessions, as if the policy were mandatory.
    #[default]
    All,
    /// Those of sessions that choose the policy.
    Choosing,
}

fn week() -> u32 {
    7
}

/// What would have been.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PolicyDryRunResponse {
    since: Timestamp,
    /// Decisions by policies that were looked at; what people decided stays theirs.
    considered: u64,
    /// Of these, those whose input is not on record as a whole.
    not_judged: u64,
    changed: u64,
    /// False when there were more decisions than one dry run looks at; the newest were.
    complete: bool,
    /// The changed ones, newest first, at most 1000.
    changes: Vec<DryRunChangeResponse>,
}

/// A decision that would have been another.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DryRunChangeResponse {
    decision_id: Uuid,
    session_id: Uuid,
    tool_name: String,
    decided_at: Timestamp,
    before: Word<Verdict>,
    /// The opinion that would have decided.
    after: OpinionResponse,
}

impl From<DryRunReport> for PolicyDryRunResponse {
    fn from(report: DryRunReport) -> Self {
        Self {
            since: report.since,
            considered: report.considered,
            not_judged: report.not_judged,
            changed: report.changed,
            complete: report.is_complete,
            changes: report.changes.into_iter().map(DryRunChangeResponse::from).collect(),
        }
    }
}

impl From<Change> for DryRunChangeResponse {
    fn from(change: Change) -> Self {
        Self {
            decision_id: change.decision_id.0,
            session_id: change.session_id.0,
            tool_name: change.tool_name,
            decided_at: change.decided_at,
            before: Word(change.before),
            after: change.after.into(),
        }
    }
}

/// Try a policy on the past
///
/// Which recorded decisions would have been others if this policy, or this text in its place, had judged as well? For
/// admins, because it looks at everybody's sessions.
#[api_v2_operation(tags(Policies), operation_id = "dryRunPolicy")]
pub async fn run(
    state: Data<ApiState>,
    caller: Caller,
    name: PathParams<String>,
    body: Valid<PolicyDryRunRequest>,
) -> Result<Fetched<PolicyDryRunResponse>, Fail<(Forbidden, NotFound, Invalid, Unavailable)>> {
    let PolicyDryRunRequest { days, text, sessions } = body.0;
    let over = match sessions {
        DryRunSessions::All => RunsOver::All,
        DryRunSessions::Choosing => RunsOver::Choosing,
    };
    let run = DryRun { name: name.0, text, days, over };
    Ok(Fetched::new(state.policies.dry_run(&caller.0, run).await.map_err(problem)?.into()))
}
