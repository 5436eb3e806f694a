//! Snapshots of sessions' figures.

use crate::columns::{TOKENS, belongs_to, drop_tables, figure, index, instant};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const NAME: &str = "metrics_snapshots";
const COUNTS: [&str; 7] = [
    "message_count",
    "tool_call_count",
    "hook_execution_count",
    "permission_check_count",
    "error_count",
    "retry_count",
    "cost_micro_usd",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(NAME).col(pk_uuid("id")).col(uuid("session_id")).col(instant("snapshot_at"));
        for column in COUNTS.into_iter().chain(TOKENS) {
            table.col(figure(column));
        }
        table
            .col(big_integer_null("duration_ms"))
            .col(big_integer_null("avg_tool_duration_us"))
            .foreign_key(&mut belongs_to(NAME, "session_id", "sessions"));
        manager.create_table(table.take()).await?;
        manager.create_index(index(NAME, &["session_id", "snapshot_at", "id"])).await?;
        // By age, for those that are old enough to go.
        manager.create_index(index(NAME, &["snapshot_at", "id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &[NAME]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
