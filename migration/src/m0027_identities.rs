//! Who of an identity provider is which user.

use crate::columns::{belongs_to, drop_tables, index, instant};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let identities = Table::create()
            .table("identities")
            .col(text("issuer"))
            .col(text("subject"))
            .col(uuid("user_id"))
            .col(instant("created_at"))
            .primary_key(Index::create().col("issuer").col("subject"))
            .foreign_key(&mut belongs_to("identities", "user_id", "users"))
            .take();
        manager.create_table(identities).await?;
        manager.create_index(index("identities", &["user_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["identities"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
