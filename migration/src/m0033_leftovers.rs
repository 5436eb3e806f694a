//! What a server still has on its disk of sessions that were purged at another.

use crate::columns::{drop_tables, index};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // No foreign keys: neither the session nor its user need be there any more.
        let leftovers = Table::create()
            .table("leftovers")
            .col(pk_uuid("session_id"))
            .col(uuid("user_id"))
            .col(uuid("server_id"))
            .take();
        manager.create_table(leftovers).await?;
        manager.create_index(index("leftovers", &["server_id", "session_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["leftovers"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
