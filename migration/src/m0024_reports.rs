//! Reports of sessions, and the documents that files are made of; and what all requests of a day cost, for admins.

use crate::columns::{belongs_to, drop_tables, figure, index, instant};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// A sum over a time looks at nothing but this index.
const SPENT: [&str; 2] = ["started_at", "cost_micro_usd"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(reports()).await?;
        manager.create_index(index("reports", &["user_id", "created_at", "id"])).await?;
        manager.create_index(index("reports", &["session_id", "created_at", "id"])).await?;
        manager.create_index(index("reports", &["created_at", "id"])).await?;
        manager.create_table(report_documents()).await?;
        manager.create_index(index("request_usage", &SPENT)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let name = format!("ix_request_usage_{}", SPENT.join("_"));
        manager.drop_index(Index::drop().name(name).table("request_usage").to_owned()).await?;
        drop_tables(manager, &["report_documents", "reports"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn reports() -> TableCreateStatement {
    Table::create()
        .table("reports")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(uuid("session_id"))
        .col(text_null("session_name"))
        .col(text("format"))
        .col(boolean("has_messages"))
        .col(boolean("has_tool_calls"))
        .col(boolean("has_metrics"))
        .col(figure("size_bytes"))
        .col(boolean("is_shortened"))
        .col(instant("created_at"))
        .foreign_key(&mut belongs_to("reports", "user_id", "users"))
        // It holds what was said there: when that is to be gone, it is gone here too.
        .foreign_key(&mut belongs_to("reports", "session_id", "sessions"))
        .take()
}

/// In a table of its own, so that lists do not read what they do not show.
fn report_documents() -> TableCreateStatement {
    Table::create()
        .table("report_documents")
        .col(pk_uuid("report_id"))
        // JSON, compressed with Zstandard.
        .col(blob("document"))
        .foreign_key(&mut belongs_to("report_documents", "report_id", "reports"))
        .take()
}
