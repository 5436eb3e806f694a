//! What was said and done in a session, and the journal that puts it in order.

use crate::columns::{belongs_to, drop_tables, index, instant, instant_null};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(messages()).await?;
        let mut numbers = index("messages", &["session_id", "sequence_number"]);
        manager.create_index(numbers.unique().take()).await?;

        manager.create_table(tool_calls()).await?;
        manager.create_index(index("tool_calls", &["session_id", "created_at", "id"])).await?;
        manager.create_index(index("tool_calls", &["turn_id", "created_at", "id"])).await?;
        manager.create_index(index("tool_calls", &["session_id", "tool_use_id"])).await?;

        manager.create_table(journal()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["journal", "tool_calls", "messages"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn messages() -> TableCreateStatement {
    Table::create()
        .table("messages")
        .col(pk_uuid("id"))
        .col(uuid("session_id"))
        .col(uuid_null("turn_id"))
        .col(big_integer("sequence_number"))
        .col(text("message_type"))
        .col(json("content"))
        .col(text_null("model"))
        .col(text_null("thinking"))
        .col(text_null("parent_tool_use_id"))
        .col(instant("created_at"))
        .foreign_key(&mut belongs_to("messages", "session_id", "sessions"))
        .foreign_key(&mut belongs_to("messages", "turn_id", "turns"))
        .take()
}

fn tool_calls() -> TableCreateStatement {
    Table::create()
        .table("tool_calls")
        .col(pk_uuid("id"))
        .col(uuid("session_id"))
        .col(uuid_null("turn_id"))
        .col(text("tool_use_id"))
        .col(text("tool_name"))
        .col(json("tool_input"))
        .col(json_null("tool_output"))
        .col(text("status"))
        .col(text_null("permission_decision"))
        .col(text_null("permission_reason"))
        .col(instant("created_at"))
        .col(instant_null("completed_at"))
        .foreign_key(&mut belongs_to("tool_calls", "session_id", "sessions"))
        .foreign_key(&mut belongs_to("tool_calls", "turn_id", "turns"))
        .take()
}

fn journal() -> TableCreateStatement {
    Table::create()
        .table("journal")
        .col(uuid("session_id"))
        .col(big_integer("seq"))
        .col(uuid_null("turn_id"))
        .col(text("kind"))
        // A row has either a message, which is stored once, or data.
        .col(uuid_null("message_id"))
        .col(json_null("data"))
        .col(instant("at"))
        .primary_key(Index::create().name("pk_journal").col("session_id").col("seq"))
        .foreign_key(&mut belongs_to("journal", "session_id", "sessions"))
        .foreign_key(&mut belongs_to("journal", "turn_id", "turns"))
        .foreign_key(&mut belongs_to("journal", "message_id", "messages"))
        .take()
}
