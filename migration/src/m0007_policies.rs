//! Custom policies and all their versions.

use crate::columns::{drop_tables, index, instant, instant_null, refers_to};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(policies()).await?;
        manager.create_index(index("policies", &["created_at", "id"])).await?;
        manager.create_table(policy_versions()).await?;
        let mut numbers = index("policy_versions", &["policy_id", "version"]);
        manager.create_index(numbers.unique().take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["policy_versions", "policies"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A deleted policy keeps its row, so that its name never gets a version number twice.
fn policies() -> TableCreateStatement {
    Table::create()
        .table("policies")
        .col(pk_uuid("id"))
        .col(text_uniq("name"))
        .col(big_integer("version"))
        .col(boolean("is_mandatory"))
        .col(instant("created_at"))
        .col(instant_null("deleted_at"))
        .take()
}

fn policy_versions() -> TableCreateStatement {
    Table::create()
        .table("policy_versions")
        .col(pk_uuid("id"))
        .col(uuid("policy_id"))
        .col(big_integer("version"))
        .col(text("text"))
        .col(text_null("description"))
        .col(boolean("is_mandatory"))
        .col(uuid("changed_by"))
        .col(instant("changed_at"))
        .foreign_key(&mut refers_to("policy_versions", "policy_id", "policies"))
        .foreign_key(&mut refers_to("policy_versions", "changed_by", "users"))
        .take()
}
