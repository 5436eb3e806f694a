//! What hooks did, the HTTP endpoints of people, and what is on its way to them.

use crate::columns::{belongs_to, drop_tables, figure, index, index_of_status, instant, instant_null};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(hook_runs()).await?;
        manager.create_index(index("hook_runs", &["session_id", "executed_at", "id"])).await?;
        manager.create_index(index("hook_runs", &["session_id", "tool_use_id"])).await?;

        manager.create_table(hook_endpoints()).await?;
        manager.create_index(index("hook_endpoints", &["user_id", "name"]).unique().take()).await?;
        manager.create_index(index("hook_endpoints", &["created_at", "id"])).await?;

        manager.create_table(hook_deliveries()).await?;
        manager.create_index(index("hook_deliveries", &["endpoint_id", "created_at", "id"])).await?;
        let due = ["next_attempt_at", "id"];
        manager
            .create_index(index_of_status("ix_hook_deliveries_due", "hook_deliveries", &due, "pending"))
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["hook_deliveries", "hook_endpoints", "hook_runs"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn hook_runs() -> TableCreateStatement {
    Table::create()
        .table("hook_runs")
        .col(pk_uuid("id"))
        .col(uuid("session_id"))
        .col(uuid_null("turn_id"))
        .col(text("hook_type"))
        .col(text("hook_name"))
        .col(text_null("tool_use_id"))
        .col(text_null("tool_name"))
        .col(json("input"))
        .col(json_null("output"))
        .col(boolean("continued"))
        .col(text("status"))
        .col(text_null("error"))
        .col(big_integer("duration_us"))
        .col(boolean("is_notable"))
        .col(instant("executed_at"))
        .foreign_key(&mut belongs_to("hook_runs", "session_id", "sessions"))
        .foreign_key(&mut belongs_to("hook_runs", "turn_id", "turns"))
        .take()
}

fn hook_endpoints() -> TableCreateStatement {
    Table::create()
        .table("hook_endpoints")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(text("name"))
        .col(text("url"))
        .col(text("kind"))
        .col(json("event_types"))
        .col(text_null("tool_matcher"))
        .col(big_integer("timeout_ms"))
        .col(big_integer("run_order"))
        .col(text("fail_mode"))
        .col(boolean("is_enabled"))
        .col(boolean("is_global"))
        // Encrypted with a key that is not in the database.
        .col(blob("secret"))
        .col(blob_null("old_secret"))
        .col(instant_null("old_secret_until"))
        .col(instant("created_at"))
        .col(instant("updated_at"))
        .foreign_key(&mut belongs_to("hook_endpoints", "user_id", "users"))
        .take()
}

fn hook_deliveries() -> TableCreateStatement {
    Table::create()
        .table("hook_deliveries")
        .col(pk_uuid("id"))
        .col(uuid("endpoint_id"))
        // No reference: a message may outlive what it tells of.
        .col(uuid_null("session_id"))
        .col(text("event_type"))
        // Text and not JSON: the signature is over these very bytes.
        .col(text("payload"))
        .col(text("status"))
        .col(figure("attempts"))
        .col(instant_null("next_attempt_at"))
        .col(instant_null("last_attempt_at"))
        .col(big_integer_null("response_status"))
        .col(text_null("error"))
        .col(instant("created_at"))
        .foreign_key(&mut belongs_to("hook_deliveries", "endpoint_id", "hook_endpoints"))
        .take()
}
