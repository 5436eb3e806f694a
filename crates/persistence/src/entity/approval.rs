//! A row of `approvals`.

use crate::value::{Reader, micros};
use domain::{
    Approval, ApprovalId, ApprovalKind, ApprovalStatus, SessionId, TurnId, UserId, Verdict, ports::StoreError,
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "approvals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub session_id: Uuid,
    pub turn_id: Uuid,
    pub user_id: Uuid,
    pub kind: String,
    pub tool_name: String,
    pub tool_use_id: String,
    pub tool_input: Json,
    pub agent_id: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub reason: Option<String>,
    pub policy: Option<String>,
    pub rule: Option<String>,
    pub suggestions: Json,
    pub status: String,
    pub default_verdict: String,
    pub expires_at: i64,
    pub decided_at: Option<i64>,
    pub decided_by: Option<Uuid>,
    pub decision_reason: Option<String>,
    pub updated_input: Option<Json>,
    pub remember: bool,
    pub delivered_at: Option<i64>,
    pub told_in: Option<Uuid>,
    pub used_at: Option<i64>,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Approval> for Model {
    fn from(approval: &Approval) -> Self {
        let approval = approval.clone();
        Self {
            id: approval.id.0,
            session_id: approval.session_id.0,
            turn_id: approval.turn_id.0,
            user_id: approval.user_id.0,
            kind: approval.kind.as_str().to_owned(),
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
            status: approval.status.as_str().to_owned(),
            default_verdict: approval.default_verdict.as_str().to_owned(),
            expires_at: micros(approval.expires_at),
            decided_at: approval.decided_at.map(micros),
            decided_by: approval.decided_by.map(|id| id.0),
            decision_reason: approval.decision_reason,
            updated_input: approval.updated_input,
            remember: approval.remember,
            delivered_at: approval.delivered_at.map(micros),
            told_in: approval.told_in.map(|id| id.0),
            used_at: approval.used_at.map(micros),
            created_at: micros(approval.created_at),
        }
    }
}

impl TryFrom<Model> for Approval {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("approvals");
        Ok(Self {
            id: ApprovalId(row.id),
            session_id: SessionId(row.session_id),
            turn_id: TurnId(row.turn_id),
            user_id: UserId(row.user_id),
            kind: reader.word("kind", ApprovalKind::parse, &row.kind)?,
            tool_name: row.tool_name,
            tool_use_id: row.tool_use_id,
            tool_input: row.tool_input,
            agent_id: row.agent_id,
            title: row.title,
            description: row.description,
            reason: row.reason,
            policy: row.policy,
            rule: row.rule,
            suggestions: row.suggestions,
            status: reader.word("status", ApprovalStatus::parse, &row.status)?,
            default_verdict: reader.word("default_verdict", Verdict::parse, &row.default_verdict)?,
            expires_at: reader.instant("expires_at", row.expires_at)?,
            decided_at: reader.instant_if("decided_at", row.decided_at)?,
            decided_by: row.decided_by.map(UserId),
            decision_reason: row.decision_reason,
            updated_input: row.updated_input,
            remember: row.remember,
            delivered_at: reader.instant_if("delivered_at", row.delivered_at)?,
            told_in: row.told_in.map(TurnId),
            used_at: reader.instant_if("used_at", row.used_at)?,
            created_at: reader.instant("created_at", row.created_at)?,
        })
    }
}
