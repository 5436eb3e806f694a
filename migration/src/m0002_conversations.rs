//! Sessions and their turns.

use crate::columns::{
    TOKENS, belongs_to, drop_tables, figure, index, index_of_status, instant, instant_null, may_refer_to,
    refers_to,
};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(sessions()).await?;
        for order in [&["created_at", "id"], &["updated_at", "id"]] {
            manager.create_index(index("sessions", order)).await?;
            let owned = ["user_id", order[0], order[1]];
            manager.create_index(index("sessions", &owned)).await?;
        }
        manager.create_index(index("sessions", &["parent_session_id"])).await?;

        manager.create_table(turns()).await?;
        manager.create_index(index("turns", &["session_id", "created_at", "id"])).await?;
        // Unique: the database itself refuses a second running turn.
        let mut running = index_of_status("ux_turns_running", "turns", &["session_id"], "running");
        manager.create_index(running.unique().take()).await?;
        let queue = ["session_id", "created_at", "id"];
        manager.create_index(index_of_status("ix_turns_queued", "turns", &queue, "queued")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["turns", "sessions"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn sessions() -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table("sessions")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(text_null("name"))
        .col(text_null("description"))
        // Name and description in lower case, so that a search ignores case alike in every script and database.
        .col(text("search_text"))
        .col(text("mode"))
        .col(text("status"))
        .col(json("spec"))
        .col(json("metadata"))
        .col(uuid_null("parent_session_id"))
        .col(big_integer_null("fork_at_message"))
        // No reference: turns refer to sessions already, and SQLite cannot add one later.
        .col(uuid_null("current_turn_id"))
        .col(uuid_null("agent_id"))
        .col(uuid_null("agent_last_entry"))
        // The number of the last journal row; the next is given out under this row's lock.
        .col(figure("last_seq"));
    for count in ["message", "tool_call", "hook_execution", "permission_check", "error", "retry"] {
        table.col(big_integer(format!("{count}_count")).default(0));
    }
    table.col(figure("cost_micro_usd"));
    for tokens in TOKENS {
        table.col(figure(tokens));
    }
    table
        .col(text_null("error_message"))
        .col(instant("created_at"))
        .col(instant("updated_at"))
        .col(instant_null("started_at"))
        .col(instant_null("completed_at"))
        .foreign_key(&mut refers_to("sessions", "user_id", "users"))
        .foreign_key(&mut may_refer_to("sessions", "parent_session_id", "sessions"))
        .take()
}

fn turns() -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table("turns")
        .col(pk_uuid("id"))
        .col(uuid("session_id"))
        .col(text("status"))
        // Only while the prompt waits; when its turn begins it becomes a message.
        .col(json_null("queued_prompt"))
        .col(uuid_null("prompt_message_id"))
        .col(uuid_null("answer_message_id"))
        .col(text_null("answer"))
        .col(text_null("failure"))
        .col(text_null("error_message"))
        .col(figure("rounds"))
        .col(figure("retries"))
        .col(figure("cost_micro_usd"));
    for tokens in TOKENS {
        table.col(figure(tokens));
    }
    table
        .col(instant("created_at"))
        .col(instant_null("started_at"))
        .col(instant_null("completed_at"))
        .foreign_key(&mut belongs_to("turns", "session_id", "sessions"))
        .take()
}
