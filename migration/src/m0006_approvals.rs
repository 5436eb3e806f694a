//! Questions to people, and what they said.

use crate::columns::{belongs_to, drop_tables, index, index_of_status, instant, instant_null, refers_to};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(approvals()).await?;
        manager.create_index(index("approvals", &["session_id", "created_at", "id"])).await?;
        let pending = |name, columns| index_of_status(name, "approvals", columns, "pending");
        manager.create_index(pending("ix_approvals_pending", &["created_at", "id"])).await?;
        manager.create_index(pending("ix_approvals_due", &["expires_at"])).await?;
        // Few rows at any time: housekeeping looks for them again and again.
        let mut untold = index("approvals", &["created_at", "id"]);
        let untold = untold.name("ix_approvals_untold").and_where(Expr::col("delivered_at").is_null()).take();
        manager.create_index(untold).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["approvals"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn approvals() -> TableCreateStatement {
    Table::create()
        .table("approvals")
        .col(pk_uuid("id"))
        .col(uuid("session_id"))
        .col(uuid("turn_id"))
        .col(uuid("user_id"))
        .col(text("kind"))
        .col(text("tool_name"))
        .col(text("tool_use_id"))
        .col(json("tool_input"))
        .col(text_null("agent_id"))
        .col(text_null("title"))
        .col(text_null("description"))
        .col(text_null("reason"))
        .col(text_null("policy"))
        .col(text_null("rule"))
        .col(json("suggestions"))
        .col(text("status"))
        .col(text("default_verdict"))
        .col(instant("expires_at"))
        .col(instant_null("decided_at"))
        .col(uuid_null("decided_by"))
        .col(text_null("decision_reason"))
        .col(json_null("updated_input"))
        .col(boolean("remember"))
        .col(instant_null("delivered_at"))
        .col(uuid_null("told_in"))
        .col(instant_null("used_at"))
        .col(instant("created_at"))
        .foreign_key(&mut belongs_to("approvals", "session_id", "sessions"))
        .foreign_key(&mut belongs_to("approvals", "turn_id", "turns"))
        .foreign_key(&mut refers_to("approvals", "user_id", "users"))
        // Who said yes is not forgotten with the account.
        .foreign_key(&mut refers_to("approvals", "decided_by", "users"))
        .take()
}
