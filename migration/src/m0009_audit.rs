//! The audit log, and what the database itself does for it: it keeps the chain whole and refuses to change an entry.

use crate::columns::{drop_tables, index, instant};
use sea_orm_migration::{prelude::*, schema::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// An entry must follow the head, which moves on to it.
///
/// Before the insert on both, because PostgreSQL runs what comes after a row only after all rows of the statement.
const SQLITE: [&str; 3] = [
    "CREATE TRIGGER audit_log_chained BEFORE INSERT ON audit_log BEGIN
        UPDATE audit_head SET last_seq = NEW.seq, last_hash = NEW.hash
            WHERE last_seq = NEW.seq - 1 AND last_hash = NEW.prev_hash;
        SELECT RAISE(ABORT, 'an audit entry must follow the last one') WHERE changes() <> 1;
    END",
    "CREATE TRIGGER audit_log_unchanged BEFORE UPDATE ON audit_log BEGIN
        SELECT RAISE(ABORT, 'audit entries are never changed');
    END",
    "CREATE TRIGGER audit_log_kept BEFORE DELETE ON audit_log BEGIN
        SELECT RAISE(ABORT, 'audit entries are never removed');
    END",
];

const POSTGRES: [&str; 4] = [
    "CREATE FUNCTION audit_log_follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE audit_head SET last_seq = NEW.seq, last_hash = NEW.hash
            WHERE last_seq = NEW.seq - 1 AND last_hash = NEW.prev_hash;
        IF NOT FOUND THEN RAISE EXCEPTION 'an audit entry must follow the last one'; END IF;
        RETURN NEW;
    END $$",
    "CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'audit entries are never changed or removed';
    END $$",
    "CREATE TRIGGER audit_log_chained BEFORE INSERT ON audit_log
        FOR EACH ROW EXECUTE FUNCTION audit_log_follow()",
    "CREATE TRIGGER audit_log_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
        FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(audit_log()).await?;
        manager.create_index(index("audit_log", &["session_id", "seq"])).await?;
        manager.create_table(audit_head()).await?;
        let first = Query::insert()
            .into_table("audit_head")
            .columns(["id", "last_seq", "last_hash"])
            .values_panic([1.into(), 0.into(), vec![0_u8; 32].into()])
            .to_owned();
        manager.execute(first).await?;
        for statement in triggers(manager) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Their triggers go with the tables; functions stand by themselves.
        drop_tables(manager, &["audit_log", "audit_head"]).await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            let functions = "DROP FUNCTION audit_log_follow(), audit_log_refuse()";
            manager.get_connection().execute_unprepared(functions).await?;
        }
        Ok(())
    }

    /// A step that is stopped half-way must leave nothing, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn triggers(manager: &SchemaManager<'_>) -> &'static [&'static str] {
    match manager.get_database_backend() {
        DatabaseBackend::Postgres => &POSTGRES,
        _ => &SQLITE,
    }
}

/// No references: an entry outlives what it speaks of.
fn audit_log() -> TableCreateStatement {
    Table::create()
        .table("audit_log")
        .col(big_integer("seq").primary_key())
        .col(instant("at"))
        .col(text("actor"))
        .col(uuid_null("actor_user_id"))
        .col(uuid_null("actor_api_key_id"))
        .col(text("action"))
        .col(text_null("subject_type"))
        .col(text_null("subject_id"))
        .col(uuid_null("session_id"))
        .col(text_null("ip_address"))
        .col(text_null("request_id"))
        .col(text("data"))
        .col(blob("prev_hash"))
        .col(blob("hash"))
        .col(blob_null("mac"))
        .take()
}

/// One row: the end of the chain. Whoever appends locks it first where several write.
fn audit_head() -> TableCreateStatement {
    Table::create()
        .table("audit_head")
        .col(big_integer("id").primary_key())
        .col(big_integer("last_seq"))
        .col(blob("last_hash"))
        .take()
}
