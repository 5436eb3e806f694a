//! The ledger anew: its rows let their session and turn go, and stay.

use crate::columns::{TOKENS, figure, index, instant, may_refer_to, refers_to};
use sea_orm_migration::{prelude::*, schema::*, sea_orm::DatabaseBackend};

const NAME: &str = "request_usage";
const NEW: &str = "request_usage_new";

/// Rows may lose their session and turn.
pub(super) async fn let_sessions_go(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    replace(manager, table(uuid_null("session_id"), may_refer_to), "").await
}

/// Rows have a session for good; those that lost theirs go.
pub(super) async fn hold_sessions(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    replace(manager, table(uuid("session_id"), refers_to), " WHERE session_id IS NOT NULL").await
}

/// SQLite cannot change a column, so the table is made again; PostgreSQL does the same, to end up with the same.
async fn replace(manager: &SchemaManager<'_>, new: TableCreateStatement, rows: &str) -> Result<(), DbErr> {
    manager.create_table(new).await?;
    let columns = columns().join(", ");
    let copy = format!("INSERT INTO {NEW} ({columns}) SELECT {columns} FROM {NAME}{rows}");
    manager.get_connection().execute_unprepared(&copy).await?;
    manager.drop_table(Table::drop().table(NAME).take()).await?;
    manager.rename_table(Table::rename().table(NEW, NAME).take()).await?;
    if manager.get_database_backend() == DatabaseBackend::Postgres {
        let key = format!("ALTER TABLE {NAME} RENAME CONSTRAINT {NEW}_pkey TO {NAME}_pkey");
        manager.get_connection().execute_unprepared(&key).await?;
    }
    manager.create_index(index(NAME, &["session_id", "started_at", "id"])).await?;
    manager.create_index(index(NAME, &["user_id", "started_at"])).await?;
    manager.create_index(index(NAME, &["turn_id"])).await
}

type Reference = fn(&'static str, &'static str, &'static str) -> ForeignKeyCreateStatement;

fn table(session_id: ColumnDef, reference: Reference) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(NEW)
        .col(pk_uuid("id"))
        .col(session_id)
        .col(uuid("user_id"))
        .col(uuid_null("turn_id"))
        .col(text("model"));
    for tokens in TOKENS {
        table.col(figure(tokens));
    }
    table
        .col(figure("cost_micro_usd"))
        .col(text("price_version"))
        .col(boolean("is_priced"))
        .col(boolean("is_complete"))
        .col(big_integer("http_status"))
        .col(text_null("stop_reason"))
        .col(instant("started_at"))
        .col(big_integer("duration_ms"));
    for (column, to, reference) in [
        ("session_id", "sessions", reference),
        ("user_id", "users", refers_to as Reference),
        ("turn_id", "turns", reference),
    ] {
        let mut key = reference(NEW, column, to);
        table.foreign_key(key.name(format!("fk_{NAME}_{column}")));
    }
    table.take()
}

fn columns() -> Vec<&'static str> {
    let before = ["id", "session_id", "user_id", "turn_id", "model"];
    let after = [
        "cost_micro_usd",
        "price_version",
        "is_priced",
        "is_complete",
        "http_status",
        "stop_reason",
        "started_at",
        "duration_ms",
    ];
    before.into_iter().chain(TOKENS).chain(after).collect()
}
