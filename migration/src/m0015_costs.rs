//! Whose money a user spends and where their months begin; what more is known of a request to the model.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const USER_COLUMNS: [&str; 2] = ["team", "time_zone"];
const USAGE_COLUMNS: [&str; 3] = ["thinking_tokens", "tools", "is_estimated"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add(manager, "users", text_null("team")).await?;
        add(manager, "users", text("time_zone").default("UTC").take()).await?;
        add(manager, "request_usage", big_integer("thinking_tokens").default(0).take()).await?;
        add(manager, "request_usage", json("tools").default("[]").take()).await?;
        add(manager, "request_usage", boolean("is_estimated").default(false).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in USAGE_COLUMNS {
            manager.alter_table(Table::alter().table("request_usage").drop_column(column).take()).await?;
        }
        for column in USER_COLUMNS {
            manager.alter_table(Table::alter().table("users").drop_column(column).take()).await?;
        }
        Ok(())
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// One column at a time: SQLite takes no more.
async fn add(manager: &SchemaManager<'_>, table: &'static str, column: ColumnDef) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(table).add_column(column).take()).await
}
