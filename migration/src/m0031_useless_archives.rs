//! What is deleted from the archive store is found without reading all that is in it, and so is how much of it is local.

use crate::columns::index;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const USELESS: &str = "ix_archives_useless";
const LOCAL: &str = "ix_archives_local";
/// What was meant for the first of them: it has all that is stored.
const STORED: &str = "ix_archives_stored";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let is_useless = Expr::col("status")
            .eq("failed")
            .or(Expr::col("removed_at").is_not_null())
            .or(Expr::col("session_id").is_null());
        let useless = index("archives", &["id"]).name(USELESS).and_where(is_stored().and(is_useless)).take();
        manager.create_index(useless).await?;
        let mut local = index("archives", &["place", "server_id", "size_bytes"]);
        manager.create_index(local.name(LOCAL).and_where(is_stored()).take()).await?;
        manager.drop_index(Index::drop().name(STORED).table("archives").to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let stored = index("archives", &["removed_at"]).name(STORED).and_where(is_stored()).take();
        manager.create_index(stored).await?;
        for name in [LOCAL, USELESS] {
            manager.drop_index(Index::drop().name(name).table("archives").to_owned()).await?;
        }
        Ok(())
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn is_stored() -> Expr {
    Expr::col("has_object").eq(true)
}
