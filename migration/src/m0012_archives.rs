//! Archives of sessions, and what holds a session meanwhile.

use crate::columns::{drop_tables, figure, index, index_of_status, instant, instant_null, may_refer_to};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(archives()).await?;
        manager.create_index(index("archives", &["session_id", "created_at", "id"])).await?;
        // Unique: the database itself refuses a second open archive of a session.
        let is_open = Expr::col("status").is_in(["pending", "in_progress"]);
        let mut open = index("archives", &["session_id"]);
        manager.create_index(open.name("ux_archives_open").unique().and_where(is_open).take()).await?;
        let completed = index_of_status("ix_archives_completed", "archives", &["archived_at"], "completed");
        manager.create_index(completed).await?;
        let stored = Expr::col("has_object").eq(true);
        let mut to_delete = index("archives", &["removed_at"]);
        manager.create_index(to_delete.name("ix_archives_stored").and_where(stored).take()).await?;

        for column in [text_null("operation"), uuid_null("archive_id")] {
            manager.alter_table(Table::alter().table("sessions").add_column(column).take()).await?;
        }
        let held = Expr::col("operation").is_not_null();
        let mut operation = index("sessions", &["operation"]);
        manager.create_index(operation.and_where(held).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("ix_sessions_operation").table("sessions").to_owned()).await?;
        for column in ["archive_id", "operation"] {
            manager.alter_table(Table::alter().table("sessions").drop_column(column).take()).await?;
        }
        drop_tables(manager, &["archives"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn archives() -> TableCreateStatement {
    Table::create()
        .table("archives")
        .col(pk_uuid("id"))
        // Forgotten with the session; what is in the archive store is deleted after it.
        .col(uuid_null("session_id"))
        .col(text("status"))
        .col(text("compression"))
        .col(text("place"))
        // Whose disk a local one is on.
        .col(uuid_null("server_id"))
        .col(text("object_key"))
        .col(figure("at_message"))
        // What is known once it is completed.
        .col(big_integer_null("size_bytes"))
        .col(blob_null("sha256"))
        .col(blob_null("manifest_sha256"))
        .col(big_integer_null("file_count"))
        .col(big_integer_null("unpacked_bytes"))
        .col(big_integer_null("excluded_count"))
        .col(text_null("error_message"))
        .col(figure("attempt"))
        .col(instant("due_at"))
        // Whether something may be in the archive store, and whether something may be left on the disk besides.
        .col(boolean("has_object").default(false))
        .col(boolean("has_files").default(true))
        .col(instant("created_at"))
        .col(instant("updated_at"))
        .col(instant_null("archived_at"))
        .col(instant_null("removed_at"))
        .foreign_key(&mut may_refer_to("archives", "session_id", "sessions"))
        .take()
}
