//! A row of `permission_decisions`.

use crate::value::{Reader, micros};
use domain::{
    DecidedBy, Opinion, PermissionDecision, PermissionDecisionId, SessionId, TurnId, UserId, Verdict,
    ports::StoreError,
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "permission_decisions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub session_id: Uuid,
    pub turn_id: Option<Uuid>,
    pub tool_use_id: Option<String>,
    pub tool_name: String,
    pub input_data: Json,
    pub context: Json,
    pub verdict: String,
    pub policy: String,
    pub policy_version: Option<i64>,
    pub rule: String,
    pub reason: String,
    pub decided_by: String,
    pub decided_by_user_id: Option<Uuid>,
    pub interrupted: bool,
    pub decided_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&PermissionDecision> for Model {
    fn from(decision: &PermissionDecision) -> Self {
        let opinion = &decision.opinion;
        Self {
            id: decision.id.0,
            session_id: decision.session_id.0,
            turn_id: decision.turn_id.map(|id| id.0),
            tool_use_id: decision.tool_use_id.clone(),
            tool_name: decision.tool_name.clone(),
            input_data: decision.input_data.clone(),
            context: decision.context.clone(),
            verdict: opinion.verdict.as_str().to_owned(),
            policy: opinion.policy.clone(),
            policy_version: opinion.version.map(i64::from),
            rule: opinion.rule.clone(),
            reason: opinion.reason.clone(),
            decided_by: decision.decided_by.as_str().to_owned(),
            decided_by_user_id: decision.decided_by.user().map(|id| id.0),
            interrupted: decision.interrupted,
            decided_at: micros(decision.decided_at),
        }
    }
}

impl TryFrom<Model> for PermissionDecision {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("permission_decisions");
        let version = row.policy_version.map(|version| reader.figure("policy_version", version));
        let by_user = row.decided_by_user_id.map(UserId);
        Ok(Self {
            id: PermissionDecisionId(row.id),
            session_id: SessionId(row.session_id),
            turn_id: row.turn_id.map(TurnId),
            tool_use_id: row.tool_use_id,
            tool_name: row.tool_name,
            input_data: row.input_data,
            context: row.context,
            opinion: Opinion {
                verdict: reader.word("verdict", Verdict::parse, &row.verdict)?,
                policy: row.policy,
                version: version.transpose()?,
                rule: row.rule,
                reason: row.reason,
                terms: None,
            },
            decided_by: reader.word("decided_by", |word| DecidedBy::parse(word, by_user), &row.decided_by)?,
            interrupted: row.interrupted,
            decided_at: reader.instant("decided_at", row.decided_at)?,
        })
    }
}
