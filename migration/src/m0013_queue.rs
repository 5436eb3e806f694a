//! A prompt that interrupts the running turn goes before those that wait in its session.

use crate::columns::{figure, index_of_status};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Whoever goes to the front gets one less than who was there.
        let column = Table::alter().table("turns").add_column(figure("queue_rank")).take();
        manager.alter_table(column).await?;
        manager.drop_index(Index::drop().name("ix_turns_queued").table("turns").to_owned()).await?;
        let queue = ["session_id", "queue_rank", "created_at", "id"];
        manager.create_index(index_of_status("ix_turns_waiting", "turns", &queue, "queued")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("ix_turns_waiting").table("turns").to_owned()).await?;
        manager.alter_table(Table::alter().table("turns").drop_column("queue_rank").take()).await?;
        let queue = ["session_id", "created_at", "id"];
        manager.create_index(index_of_status("ix_turns_queued", "turns", &queue, "queued")).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
