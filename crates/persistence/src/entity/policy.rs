//! A row of `policies`.

use crate::value::Reader;
use domain::{policy::PolicyInForce, ports::StoreError};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "policies")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    /// The newest, or the last one of a deleted policy.
    pub version: i64,
    pub is_mandatory: bool,
    pub created_at: i64,
    pub deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(has_many = "super::policy_version::Entity")]
    Version,
}

impl Related<super::policy_version::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Version.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for PolicyInForce {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let version = Reader("policies").figure("version", row.version)?;
        Ok(Self { name: row.name, version, is_mandatory: row.is_mandatory })
    }
}
