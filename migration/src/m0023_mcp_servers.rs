//! MCP servers that people have registered.

use crate::columns::{belongs_to, drop_tables, index, instant, instant_null};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "mcp_servers";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(mcp_servers()).await?;
        manager.create_index(index(TABLE, &["user_id", "name"]).unique().take()).await?;
        // What a name means to those who have no server of it.
        let global = Expr::col("is_global").eq(true);
        manager.create_index(index(TABLE, &["name"]).unique().and_where(global).take()).await?;
        manager.create_index(index(TABLE, &["created_at", "id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &[TABLE]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn mcp_servers() -> TableCreateStatement {
    Table::create()
        .table(TABLE)
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(text("name"))
        .col(text_null("description"))
        .col(text("transport"))
        .col(text_null("command"))
        .col(json("args"))
        // Names, each with its value encrypted with a key that is not in the database.
        .col(json("env"))
        .col(text_null("url"))
        .col(json("headers"))
        .col(boolean("is_enabled"))
        .col(boolean("is_global"))
        .col(instant_null("checked_at"))
        .col(text_null("check_status"))
        .col(big_integer_null("check_tools_count"))
        .col(text_null("check_error"))
        .col(instant("created_at"))
        .col(instant("updated_at"))
        .foreign_key(&mut belongs_to(TABLE, "user_id", "users"))
        .take()
}
