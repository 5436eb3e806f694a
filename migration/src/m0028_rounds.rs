//! Indexes for what every server looks for every few seconds: what is found is little, however much there is.

use crate::columns::index;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const WITH_FILES: &str = "ix_archives_with_files";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Idle sessions by their age, and how many there are of each kind.
        manager.create_index(index("sessions", &["status", "mode", "updated_at"])).await?;
        let with_files = Expr::col("has_files").eq(true).and(Expr::col("status").eq("completed"));
        manager
            .create_index(index("archives", &["session_id"]).name(WITH_FILES).and_where(with_files).take())
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, name) in [("archives", WITH_FILES), ("sessions", "ix_sessions_status_mode_updated_at")] {
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        Ok(())
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
