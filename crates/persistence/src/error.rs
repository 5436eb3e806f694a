//! What a database error means to the caller.

use domain::ports::StoreError;
use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

/// SQLite's result codes that speak of the moment rather than of the statement: busy, locked, an I/O error, the disk
/// full, the file not to be opened.
const SQLITE_PASSING: [u32; 5] = [5, 6, 10, 13, 14];

/// The columns that must be unique, as SQLite names them, and what to call a value that is there already.
const UNIQUE: [(&str, &str); 7] = [
    ("users.email", "a user with this e-mail address"),
    ("users.username", "a user of this name"),
    ("sessions.id", "a session of this id"),
    ("turns.session_id", "a running turn"),
    ("archives.session_id", "an open archive"),
    ("policies.name", POLICY_EXISTS),
    ("hook_endpoints.user_id", "a hook of this name"),
];

/// What a second policy of a name meets.
pub(crate) const POLICY_EXISTS: &str = "a policy of this name";

/// The store's error for the database's.
pub(crate) fn failure(error: DbErr) -> StoreError {
    if let Some(SqlErr::UniqueConstraintViolation(violated)) = error.sql_err() {
        let known = UNIQUE.iter().find(|(column, _)| violated.contains(column));
        return StoreError::Conflict { what: known.map_or("something of this id", |(_, what)| what) };
    }
    if is_passing(&error) {
        StoreError::Unavailable(Box::new(error))
    } else {
        StoreError::Failed(Box::new(error))
    }
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
                | sqlx::Error::Io(_) => true,
                // The low byte is the code proper; the rest says more about it.
                sqlx::Error::Database(error) => error
                    .code()
                    .and_then(|code| code.parse::<u32>().ok())
                    .is_some_and(|code| SQLITE_PASSING.contains(&(code & 0xff))),
                _ => false,
            }
        }
        _ => false,
    }
}
