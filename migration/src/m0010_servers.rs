//! Servers and their leases, and which of them is the home of a session.

use crate::columns::{drop_tables, figure, index_of_status, instant};
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The index by which a server finds what it has to clear away.
const TERMINATED: &str = "ix_sessions_terminated_at_home";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(servers()).await?;
        for column in columns() {
            // One at a time, which is all that SQLite takes.
            manager.alter_table(Table::alter().table("sessions").add_column(column).take()).await?;
        }
        let terminated = index_of_status(TERMINATED, "sessions", &["server_id"], "terminated");
        manager.create_index(terminated).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(TERMINATED).table("sessions").to_owned()).await?;
        for column in columns().iter().rev() {
            let drop = Table::alter().table("sessions").drop_column(column.get_column_name()).take();
            manager.alter_table(drop).await?;
        }
        drop_tables(manager, &["servers"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn servers() -> TableCreateStatement {
    // The instant is the database's own.
    Table::create().table("servers").col(pk_uuid("id")).col(instant("expires_at")).take()
}

/// No references: a server's row may go before the sessions it had.
fn columns() -> [ColumnDef; 3] {
    [uuid_null("server_id"), figure("generation"), uuid_null("stop_requested")]
}
