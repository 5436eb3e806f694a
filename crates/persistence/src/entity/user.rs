//! A row of `users`.

use crate::value::{Reader, micros};
use domain::{NewUser, Role, User, UserId, ports::StoreError};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub email: String,
    #[sea_orm(unique)]
    pub username: String,
    pub full_name: Option<String>,
    pub role: String,
    pub password_hash: String,
    pub is_active: bool,
    pub team: Option<String>,
    pub time_zone: String,
    pub created_at: i64,
    pub last_login_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The address as it is stored and looked up: in lower case.
pub(crate) fn email_key(email: &str) -> String {
    email.to_lowercase()
}

impl From<&NewUser> for Model {
    fn from(NewUser { user, password_hash }: &NewUser) -> Self {
        Self {
            id: user.id.0,
            email: email_key(&user.email),
            username: user.username.clone(),
            full_name: user.full_name.clone(),
            role: user.role.as_str().to_owned(),
            password_hash: password_hash.clone(),
            is_active: user.is_active,
            team: user.team.clone(),
            time_zone: user.time_zone.clone(),
            created_at: micros(user.created_at),
            last_login_at: user.last_login_at.map(micros),
        }
    }
}

impl TryFrom<Model> for User {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("users");
        Ok(Self {
            id: UserId(row.id),
            email: row.email,
            username: row.username,
            full_name: row.full_name,
            role: reader.word("role", Role::parse, &row.role)?,
            is_active: row.is_active,
            team: row.team,
            time_zone: row.time_zone,
            created_at: reader.instant("created_at", row.created_at)?,
            last_login_at: reader.instant_if("last_login_at", row.last_login_at)?,
        })
    }
}
