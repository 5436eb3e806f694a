//! Keys by which clients know their requests again, and what they were answered.

use crate::columns::{drop_tables, figure, index, instant};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let keys = Table::create()
            .table("idempotency_keys")
            // A user, or the address of somebody who is none yet.
            .col(text("owner"))
            .col(blob("key_sha256"))
            .col(blob("fingerprint"))
            .col(uuid_uniq("attempt"))
            .col(instant("created_at"))
            .col(instant("claimed_until"))
            // Before the answer, so that adding them up reads no answers.
            .col(figure("answer_bytes"))
            // Sealed: answers may hold secrets that are kept nowhere else.
            .col(blob_null("answer"))
            .primary_key(Index::create().col("owner").col("key_sha256"))
            .take();
        manager.create_table(keys).await?;
        manager.create_index(index("idempotency_keys", &["created_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["idempotency_keys"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
