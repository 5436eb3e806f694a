//! What makes pages and deletions cost the same however much there is: how many sessions each user has, indexes for what
//! lists are filtered by and for what hangs on a row that goes. What was spent outlives the session it was spent in.

mod ledger;

use crate::columns::{belongs_to, drop_tables, figure, index};
use sea_orm_migration::{prelude::*, schema::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Lists that are filtered, by the filter and then in their order.
const LISTS: [(&str, &[&str]); 7] = [
    ("sessions", &["user_id", "status", "created_at", "id"]),
    ("sessions", &["status", "created_at", "id"]),
    ("sessions", &["mode", "created_at", "id"]),
    ("permission_decisions", &["session_id", "verdict", "decided_at", "id"]),
    ("permission_decisions", &["session_id", "tool_name", "decided_at", "id"]),
    ("approvals", &["session_id", "status", "created_at", "id"]),
    ("hook_runs", &["session_id", "hook_type", "executed_at", "id"]),
];

/// What refers to a row that may go. Without these, each one that goes would have the whole table looked through.
const REFERENCES: [(&str, &str); 7] = [
    ("journal", "turn_id"),
    ("journal", "message_id"),
    ("messages", "turn_id"),
    ("permission_decisions", "turn_id"),
    ("approvals", "turn_id"),
    ("hook_runs", "turn_id"),
    ("hook_deliveries", "session_id"),
];

/// Both databases take these.
const COUNT: &str =
    "INSERT INTO session_counts (user_id, sessions) SELECT user_id, count(*) FROM sessions GROUP BY user_id";
const ADD: &str = "INSERT INTO session_counts (user_id, sessions) VALUES (NEW.user_id, 1)
    ON CONFLICT (user_id) DO UPDATE SET sessions = session_counts.sessions + 1;";
const TAKE: &str = "UPDATE session_counts SET sessions = sessions - 1 WHERE user_id = OLD.user_id;";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(session_counts()).await?;
        let db = manager.get_connection();
        db.execute_unprepared(COUNT).await?;
        for statement in triggers(manager) {
            db.execute_unprepared(&statement).await?;
        }
        for (table, columns) in LISTS {
            manager.create_index(index(table, columns)).await?;
        }
        for (table, column) in REFERENCES {
            manager.create_index(reference(table, column)).await?;
        }
        ledger::let_sessions_go(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ledger::hold_sessions(manager).await?;
        let indexes = LISTS.map(|(table, columns)| (table, format!("ix_{table}_{}", columns.join("_"))));
        let references = REFERENCES.map(|(table, column)| (table, format!("ix_{table}_{column}")));
        for (table, name) in indexes.into_iter().chain(references) {
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        let db = manager.get_connection();
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            db.execute_unprepared("DROP TRIGGER session_counted ON sessions").await?;
            db.execute_unprepared("DROP FUNCTION session_count()").await?;
        } else {
            db.execute_unprepared("DROP TRIGGER session_added").await?;
            db.execute_unprepared("DROP TRIGGER session_taken").await?;
        }
        drop_tables(manager, &["session_counts"]).await
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// How many sessions a user has; kept by the database, so that no way of making or removing one forgets it.
fn session_counts() -> TableCreateStatement {
    Table::create()
        .table("session_counts")
        .col(pk_uuid("user_id"))
        .col(figure("sessions"))
        .foreign_key(&mut belongs_to("session_counts", "user_id", "users"))
        .take()
}

fn triggers(manager: &SchemaManager<'_>) -> [String; 2] {
    match manager.get_database_backend() {
        DatabaseBackend::Postgres => [
            format!(
                "CREATE FUNCTION session_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    IF TG_OP = 'INSERT' THEN {ADD} ELSE {TAKE} END IF;
                    RETURN NULL;
                END $$"
            ),
            "CREATE TRIGGER session_counted AFTER INSERT OR DELETE ON sessions
                FOR EACH ROW EXECUTE FUNCTION session_count()"
                .to_owned(),
        ],
        _ => [
            format!("CREATE TRIGGER session_added AFTER INSERT ON sessions BEGIN {ADD} END"),
            format!("CREATE TRIGGER session_taken AFTER DELETE ON sessions BEGIN {TAKE} END"),
        ],
    }
}

/// Most rows of the journal have no message; they need no place in an index of those that do.
fn reference(table: &'static str, column: &'static str) -> IndexCreateStatement {
    index(table, &[column]).and_where(Expr::col(column).is_not_null()).take()
}
