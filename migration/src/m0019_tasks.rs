//! Tasks, and their executions, which are the queue that workers take from.

use crate::columns::{belongs_to, drop_tables, figure, index, instant, instant_null};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The name says what is unique: SQLite names the columns, PostgreSQL the index.
const ONE_FOR_EACH_DUE_TIME: &str = "ux_executions_due_time";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(tasks()).await?;
        manager.create_index(index("tasks", &["created_at", "id"])).await?;
        manager.create_index(index("tasks", &["user_id", "created_at", "id"])).await?;
        manager.create_index(index("tasks", &["next_run_at"])).await?;

        manager.create_table(executions()).await?;
        manager.create_index(index("executions", &["task_id", "created_at", "id"])).await?;
        manager.create_index(index("executions", &["status", "priority", "due_at"])).await?;
        manager.create_index(index("executions", &["settle_due_at"])).await?;
        let due_time =
            index("executions", &["task_id", "scheduled_for"]).name(ONE_FOR_EACH_DUE_TIME).unique().take();
        manager.create_index(due_time).await?;

        // One row, which is held while it is counted how many run.
        let head = Table::create().table("execution_head").col(big_integer("id").primary_key()).take();
        manager.create_table(head).await?;
        let first =
            Query::insert().into_table("execution_head").columns(["id"]).values_panic([1.into()]).to_owned();
        manager.execute(first).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["execution_head", "executions", "tasks"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn tasks() -> TableCreateStatement {
    Table::create()
        .table("tasks")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(text("name"))
        .col(text_null("description"))
        .col(text("search_text"))
        .col(json("spec"))
        // Encrypted with a key that is not in the database.
        .col(blob_null("webhook_secret"))
        // Each between newlines, so that one can be looked for.
        .col(text("tags"))
        .col(boolean("is_scheduled"))
        .col(text_null("schedule_cron"))
        .col(text("timezone"))
        .col(boolean("schedule_enabled"))
        .col(instant_null("next_run_at"))
        .col(big_integer("priority"))
        .col(figure("max_retries"))
        .col(figure("retry_delay_ms"))
        .col(instant("created_at"))
        .col(instant("updated_at"))
        .col(instant_null("deleted_at"))
        .foreign_key(&mut belongs_to("tasks", "user_id", "users"))
        .take()
}

fn executions() -> TableCreateStatement {
    Table::create()
        .table("executions")
        .col(pk_uuid("id"))
        .col(uuid("task_id"))
        .col(uuid("user_id"))
        .col(text("trigger_kind"))
        .col(uuid_null("retry_of"))
        .col(instant_null("scheduled_for"))
        .col(json("variables"))
        .col(text("prompt"))
        .col(big_integer("priority"))
        .col(text("status"))
        .col(figure("version"))
        .col(figure("fence"))
        .col(figure("attempt"))
        .col(figure("attempts_max"))
        .col(figure("retry_delay_ms"))
        .col(instant("due_at"))
        // No reference: the session comes later, and may be removed.
        .col(uuid("session_id"))
        .col(boolean("session_created"))
        .col(uuid_null("turn_id"))
        .col(uuid_null("worker_id"))
        .col(boolean("cancel_requested"))
        .col(text_null("result"))
        .col(json_null("error"))
        .col(figure("tool_calls"))
        .col(figure("cost_micro_usd"))
        .col(instant_null("settle_due_at"))
        .col(figure("settle_attempts"))
        .col(text_null("settle_error"))
        .col(json("settle_steps"))
        .col(instant("created_at"))
        .col(instant_null("started_at"))
        .col(instant_null("completed_at"))
        .foreign_key(&mut belongs_to("executions", "task_id", "tasks"))
        .foreign_key(&mut belongs_to("executions", "user_id", "users"))
        .take()
}
