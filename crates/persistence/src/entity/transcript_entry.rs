//! A row of `transcript_entries`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "transcript_entries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation: Uuid,
    /// Empty for the main transcript.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subpath: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    pub uuid: Option<String>,
    pub entry: String,
    pub bytes: i64,
    pub added_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
