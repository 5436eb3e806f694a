//! A row of `refresh_tokens`.

use crate::value::micros;
use domain::RefreshToken;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub family_id: Uuid,
    pub user_id: Uuid,
    pub secret_sha256: Vec<u8>,
    pub expires_at: i64,
    pub created_at: i64,
    /// When its successor was issued.
    pub used_at: Option<i64>,
    /// When its login was ended.
    pub revoked_at: Option<i64>,
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

impl From<&RefreshToken> for Model {
    fn from(token: &RefreshToken) -> Self {
        Self {
            id: token.id.0,
            family_id: token.family_id.0,
            user_id: token.user_id.0,
            secret_sha256: token.secret_sha256.to_vec(),
            expires_at: micros(token.expires_at),
            created_at: micros(token.created_at),
            used_at: None,
            revoked_at: None,
        }
    }
}
