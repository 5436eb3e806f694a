//! Users and their credentials.

use crate::columns::{belongs_to, drop_tables, index, instant, instant_null};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(users()).await?;
        manager.create_table(api_keys()).await?;
        manager.create_index(index("api_keys", &["user_id", "created_at", "id"])).await?;
        manager.create_table(refresh_tokens()).await?;
        manager.create_index(index("refresh_tokens", &["family_id"])).await?;
        manager.create_index(index("refresh_tokens", &["user_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["refresh_tokens", "api_keys", "users"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn users() -> TableCreateStatement {
    Table::create()
        .table("users")
        .col(pk_uuid("id"))
        .col(text_uniq("email"))
        .col(text_uniq("username"))
        .col(text_null("full_name"))
        .col(text("role"))
        .col(text("password_hash"))
        .col(boolean("is_active"))
        .col(instant("created_at"))
        .col(instant_null("last_login_at"))
        .take()
}

fn api_keys() -> TableCreateStatement {
    Table::create()
        .table("api_keys")
        .col(pk_uuid("id"))
        .col(uuid("user_id"))
        .col(text("name"))
        .col(text("prefix"))
        .col(blob_uniq("secret_sha256"))
        .col(text("access"))
        .col(instant_null("expires_at"))
        .col(instant("created_at"))
        .col(instant_null("last_used_at"))
        .foreign_key(&mut belongs_to("api_keys", "user_id", "users"))
        .take()
}

fn refresh_tokens() -> TableCreateStatement {
    Table::create()
        .table("refresh_tokens")
        .col(pk_uuid("id"))
        .col(uuid("family_id"))
        .col(uuid("user_id"))
        .col(blob_uniq("secret_sha256"))
        .col(instant("expires_at"))
        .col(instant("created_at"))
        .col(instant_null("used_at"))
        .col(instant_null("revoked_at"))
        .foreign_key(&mut belongs_to("refresh_tokens", "user_id", "users"))
        .take()
}
