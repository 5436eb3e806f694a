//! What slows down those who guess passwords, and what servers tell each other of who asks how often.

use crate::columns::{drop_tables, figure, index, instant, instant_null};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tallies = Table::create()
            .table("login_tallies")
            .col(blob("key_sha256").primary_key())
            .col(figure("failures"))
            .col(instant("last_at"))
            .col(instant_null("succeeded_at"))
            .take();
        manager.create_table(tallies).await?;
        manager.create_index(index("login_tallies", &["last_at"])).await?;

        let reports = Table::create()
            .table("rate_reports")
            .col(pk_uuid("id"))
            .col(uuid("server_id"))
            .col(instant("reported_at"))
            .col(json("requests"))
            .take();
        manager.create_table(reports).await?;
        manager.create_index(index("rate_reports", &["reported_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["rate_reports", "login_tallies"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
