//! Since when a session is paused for want of money.

use crate::columns::{index, instant_null};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const COLUMN: &str = "budget_paused_at";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Table::alter().table("sessions").add_column(instant_null(COLUMN)).take();
        manager.alter_table(column).await?;
        // Nearly all sessions have none, and need no place in it.
        manager
            .create_index(index("sessions", &[COLUMN]).and_where(Expr::col(COLUMN).is_not_null()).take())
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let name = format!("ix_sessions_{COLUMN}");
        manager.drop_index(Index::drop().name(name).table("sessions").to_owned()).await?;
        manager.alter_table(Table::alter().table("sessions").drop_column(COLUMN).take()).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
