//! The transcripts of conversations, and which of their entries a message is.

use crate::columns::{belongs_to, drop_tables, instant};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(transcript_entries()).await?;
        // Each uuid once in a transcript; and a session's entry is found by its uuid alone.
        let mut uuids = Index::create();
        uuids.name("ux_transcript_entries_uuid").table("transcript_entries").unique();
        for column in ["session_id", "uuid", "conversation", "subpath"] {
            uuids.col(column);
        }
        manager.create_index(uuids).await?;
        let entry = Table::alter().table("messages").add_column(uuid_null("entry_uuid")).take();
        manager.alter_table(entry).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let entry = Table::alter().table("messages").drop_column("entry_uuid").take();
        manager.alter_table(entry).await?;
        drop_tables(manager, &["transcript_entries"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn transcript_entries() -> TableCreateStatement {
    let key = ["session_id", "conversation", "subpath", "position"];
    let mut primary = Index::create();
    primary.name("pk_transcript_entries");
    for column in key {
        primary.col(column);
    }
    Table::create()
        .table("transcript_entries")
        .col(uuid("session_id"))
        .col(uuid("conversation"))
        // Empty for the main transcript.
        .col(text("subpath"))
        .col(big_integer("position"))
        .col(text_null("uuid"))
        // JSON, as a text: it must come back as it was.
        .col(text("entry"))
        // Of the entry, so that a part of bounded size is found without reading what is in it.
        .col(big_integer("bytes"))
        .col(instant("added_at"))
        .primary_key(&mut primary)
        .foreign_key(&mut belongs_to("transcript_entries", "session_id", "sessions"))
        .take()
}
