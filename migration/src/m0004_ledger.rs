//! What each request to the model used and cost.

use crate::columns::{TOKENS, drop_tables, figure, index, instant, refers_to};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(request_usage()).await?;
        manager.create_index(index("request_usage", &["session_id", "started_at", "id"])).await?;
        manager.create_index(index("request_usage", &["user_id", "started_at"])).await?;
        manager.create_index(index("request_usage", &["turn_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["request_usage"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Its references restrict: deleting a session must not make what it spent disappear.
fn request_usage() -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table("request_usage")
        .col(pk_uuid("id"))
        .col(uuid("session_id"))
        .col(uuid("user_id"))
        .col(uuid_null("turn_id"))
        .col(text("model"));
    for tokens in TOKENS {
        table.col(figure(tokens));
    }
    table
        .col(figure("cost_micro_usd"))
        .col(text("price_version"))
        .col(boolean("is_priced"))
        .col(boolean("is_complete"))
        .col(big_integer("http_status"))
        .col(text_null("stop_reason"))
        .col(instant("started_at"))
        .col(big_integer("duration_ms"))
        .foreign_key(&mut refers_to("request_usage", "session_id", "sessions"))
        .foreign_key(&mut refers_to("request_usage", "user_id", "users"))
        .foreign_key(&mut refers_to("request_usage", "turn_id", "turns"))
        .take()
}
