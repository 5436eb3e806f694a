//! What a database error means to the caller.

use crate::figures::{Kind, count};
use domain::ports::StoreError;
use rusqlite::ffi;
use sea_orm::{
    DbErr, RuntimeErr, SqlErr,
    sqlx::{self, error::DatabaseError, postgres::PgDatabaseError},
};
use std::error::Error;

/// SQLite's result codes that speak of the moment rather than of the statement.
const SQLITE_PASSING: [i32; 5] =
    [ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED, ffi::SQLITE_IOERR, ffi::SQLITE_FULL, ffi::SQLITE_CANTOPEN];

/// PostgreSQL's codes that speak of the moment: out of connections, memory or disk, standing in another's way, told to
/// stop by a time limit or because the server ends. Of a class, which is how a code begins, or whole.
const POSTGRES_PASSING: [&str; 12] =
    ["08", "53", "57P01", "57P02", "57P03", "57P05", "57014", "55P03", "25P03", "25P04", "40001", "40P01"];

/// What must be unique, as SQLite and PostgreSQL name it, and what to call a value that is there already.
const UNIQUE: [(&str, &str, &str); 10] = [
    ("users.email", "users_email_key", "a user with this e-mail address"),
    ("users.username", "users_username_key", "a user of this name"),
    ("identities.issuer", "identities_pkey", "a user with this identity"),
    ("sessions.id", "sessions_pkey", "a session of this id"),
    ("turns.session_id", "ux_turns_running", "a running turn"),
    ("archives.session_id", "ux_archives_open", "an open archive"),
    ("policies.name", "policies_name_key", POLICY_EXISTS),
    ("hook_endpoints.user_id", "ix_hook_endpoints_user_id_name", "a hook of this name"),
    ("mcp_servers.user_id", "ix_mcp_servers_user_id_name", "an MCP server of this name"),
    ("mcp_servers.name", "ix_mcp_servers_name", "an MCP server for everybody of this name"),
];

/// What a second policy of a name meets.
pub(crate) const POLICY_EXISTS: &str = "a policy of this name";

/// The store's error for the database's.
pub(crate) fn failure(error: DbErr) -> StoreError {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(violated)) => conflict(&violated),
        _ if is_passing(&error) => passing(error),
        _ => failed(error),
    }
}

/// The store's error for that of the connection that writes to SQLite.
pub(crate) fn sqlite_failure(error: rusqlite::Error) -> StoreError {
    let Some(told) = error.sqlite_error() else { return failed(error) };
    match told.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => conflict(&error.to_string()),
        code if is_passing_in_sqlite(code) => passing(error),
        _ => failed(error),
    }
}

fn conflict(violated: &str) -> StoreError {
    let known = UNIQUE.iter().find(|(sqlite, postgres, _)| {
        violated.contains(sqlite) || violated.contains(&format!("\"{postgres}\""))
    });
    StoreError::Conflict { what: known.map_or("something of this id", |(_, _, what)| what) }
}

fn passing(error: impl Error + Send + Sync + 'static) -> StoreError {
    count(Kind::Unavailable);
    StoreError::Unavailable(Box::new(error))
}

fn failed(error: impl Error + Send + Sync + 'static) -> StoreError {
    count(Kind::Failed);
    StoreError::Failed(Box::new(error))
}

/// Whether trying again later may help.
fn is_passing(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source)) => {
            match source.as_ref() {
                sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::BeginFailed
                | sqlx::Error::Protocol(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Io(_) => true,
                sqlx::Error::Database(error) => is_passing_code(error.as_ref()),
                _ => false,
            }
        }
        _ => false,
    }
}

fn is_passing_code(error: &dyn DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<PgDatabaseError>().is_some() {
        return POSTGRES_PASSING.iter().any(|passing| code.starts_with(passing));
    }
    code.parse().is_ok_and(is_passing_in_sqlite)
}

fn is_passing_in_sqlite(code: i32) -> bool {
    // The low byte is the code proper; the rest says more about it.
    SQLITE_PASSING.contains(&(code & 0xff))
}
