//! Session templates, whom they are shared with, and which sessions were made from them.

use crate::columns::{belongs_to, drop_tables, figure, index, instant, instant_null};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const COLUMN: &str = "template_id";
const BY_TEMPLATE: [&str; 3] = [COLUMN, "created_at", "id"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(session_templates()).await?;
        for columns in [&["created_at", "id"][..], &["user_id", "created_at", "id"], &["usage_count", "id"]] {
            manager.create_index(index("session_templates", columns)).await?;
        }
        manager.create_table(template_shares()).await?;
        manager.create_index(index("template_shares", &["user_id"])).await?;

        // No reference: what a session was made from may be gone.
        let column = Table::alter().table("sessions").add_column(uuid_null(COLUMN)).take();
        manager.alter_table(column).await?;
        // Most sessions have none, and need no place in it.
        let by_template = index("sessions", &BY_TEMPLATE).and_where(Expr::col(COLUMN).is_not_null()).take();
        manager.create_index(by_template).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let name = format!("ix_sessions_{}", BY_TEMPLATE.join("_"));
        manager.drop_index(Index::drop().name(name).table("sessions").to_owned()).await?;
        manager.alter_table(Table::alter().table("sessions").drop_column(COLUMN).take()).await?;
        drop_tables(manager, &["template_shares", "session_templates"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn session_templates() -> TableCreateStatement {
    Table::create()
        .table("session_templates")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(text("name"))
        .col(text_null("description"))
        .col(text_null("category"))
        .col(json("tags"))
        // Name and description in lower case, and the tags with a line break around each: what searches look through.
        .col(text("search_text"))
        .col(text("tags_text"))
        .col(boolean("is_public"))
        .col(json("settings"))
        .col(figure("usage_count"))
        .col(instant("created_at"))
        .col(instant("updated_at"))
        // A template that is deleted stays for the sessions that name it.
        .col(instant_null("deleted_at"))
        .foreign_key(&mut belongs_to("session_templates", "user_id", "users"))
        .take()
}

fn template_shares() -> TableCreateStatement {
    Table::create()
        .table("template_shares")
        .col(uuid("template_id"))
        .col(uuid("user_id"))
        .primary_key(Index::create().col("template_id").col("user_id"))
        .foreign_key(&mut belongs_to("template_shares", "template_id", "session_templates"))
        .foreign_key(&mut belongs_to("template_shares", "user_id", "users"))
        .take()
}
