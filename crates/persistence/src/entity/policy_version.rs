//! A row of `policy_versions`.

use crate::value::{Reader, micros, stored};
use domain::{CustomPolicy, PolicyContent, PolicyId, UserId, policy::NewPolicyVersion, ports::StoreResult};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "policy_versions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub policy_id: Uuid,
    pub version: i64,
    pub text: String,
    pub description: Option<String>,
    pub is_mandatory: bool,
    pub changed_by: Uuid,
    pub changed_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::policy::Entity",
        from = "Column::PolicyId",
        to = "super::policy::Column::Id"
    )]
    Policy,
}

impl Related<super::policy::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Policy.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(policy_id: Uuid, version: u32, new: &NewPolicyVersion) -> Self {
        Self {
            id: Uuid::now_v7(),
            policy_id,
            version: stored(version),
            text: new.content.text.clone(),
            description: new.content.description.clone(),
            is_mandatory: new.content.is_mandatory,
            changed_by: new.by.0,
            changed_at: micros(new.at),
        }
    }

    /// This version of `policy`.
    pub(crate) fn of(self, policy: &super::policy::Model) -> StoreResult<CustomPolicy> {
        let reader = Reader("policy_versions");
        Ok(CustomPolicy {
            id: PolicyId(policy.id),
            name: policy.name.clone(),
            version: reader.figure("version", self.version)?,
            content: PolicyContent {
                text: self.text,
                description: self.description,
                is_mandatory: self.is_mandatory,
            },
            changed_by: UserId(self.changed_by),
            changed_at: reader.instant("changed_at", self.changed_at)?,
            created_at: Reader("policies").instant("created_at", policy.created_at)?,
        })
    }
}
