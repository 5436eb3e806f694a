//! What was decided about each tool call, and by whom.

use crate::columns::{belongs_to, drop_tables, index, instant, may_refer_to};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(permission_decisions()).await?;
        manager.create_index(index("permission_decisions", &["session_id", "decided_at", "id"])).await?;
        // A changed policy is tried on what was decided lately, in all sessions.
        manager.create_index(index("permission_decisions", &["decided_at", "id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["permission_decisions"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn permission_decisions() -> TableCreateStatement {
    Table::create()
        .table("permission_decisions")
        .col(pk_uuid("id"))
        .col(uuid("session_id"))
        .col(uuid_null("turn_id"))
        .col(text_null("tool_use_id"))
        .col(text("tool_name"))
        .col(json("input_data"))
        .col(json("context"))
        .col(text("verdict"))
        .col(text("policy"))
        .col(big_integer_null("policy_version"))
        .col(text("rule"))
        .col(text("reason"))
        .col(text("decided_by"))
        .col(uuid_null("decided_by_user_id"))
        .col(boolean("interrupted"))
        .col(instant("decided_at"))
        .foreign_key(&mut belongs_to("permission_decisions", "session_id", "sessions"))
        .foreign_key(&mut may_refer_to("permission_decisions", "turn_id", "turns"))
        .take()
}
