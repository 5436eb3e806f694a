//! A row of `api_keys`.

use crate::value::{Reader, micros};
use domain::{Access, ApiKey, ApiKeyId, UserId, ports::StoreError};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub prefix: String,
    pub secret_sha256: Vec<u8>,
    pub access: String,
    pub expires_at: Option<i64>,
    pub created_at: i64,
    pub last_used_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl Related<super::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl From<&ApiKey> for Model {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id.0,
            user_id: key.user_id.0,
            name: key.name.clone(),
            prefix: key.prefix.clone(),
            secret_sha256: key.secret_sha256.to_vec(),
            access: key.access.to_string(),
            expires_at: key.expires_at.map(micros),
            created_at: micros(key.created_at),
            last_used_at: key.last_used_at.map(micros),
        }
    }
}

impl TryFrom<Model> for ApiKey {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("api_keys");
        Ok(Self {
            id: ApiKeyId(row.id),
            user_id: UserId(row.user_id),
            name: row.name,
            prefix: row.prefix,
            secret_sha256: reader.sha256("secret_sha256", &row.secret_sha256)?,
            access: reader.word("access", Access::parse, &row.access)?,
            expires_at: reader.instant_if("expires_at", row.expires_at)?,
            created_at: reader.instant("created_at", row.created_at)?,
            last_used_at: reader.instant_if("last_used_at", row.last_used_at)?,
        })
    }
}
