//! Opening the database: its pragmas, its pools, and the schema's steps.

use crate::{Store, unit::Writer};
use domain::AuditKey;
use sea_orm::{
    DatabaseConnection, DbErr,
    sqlx::{
        self, ConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use std::time::Duration;

/// What a write-ahead log that grew large is cut back to after a checkpoint.
const WAL_KEPT_BYTES: &str = "67108864";
/// The page cache of one connection, in KiB as SQLite's negative notation wants it; it grows with use only.
const CACHE_KIB: &str = "-4096";

/// A connection that nobody needs any more is closed after this; each costs a thread and its cache.
const IDLE: Duration = Duration::from_secs(60);

/// Where the database is and how much it may be used.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// `sqlite://path/to/file`; the file is created if it is not there.
    pub url: String,
    /// Connections in all, at least 2: one writes, the others read and are opened when they are needed.
    pub pool_size: u32,
    /// How long a statement waits for another process that holds the file.
    pub busy_timeout: Duration,
    /// How long a call waits for a free connection before the store counts as unavailable.
    pub acquire_timeout: Duration,
    /// Signs the entries of the audit log; without it they are chained and not signed.
    pub audit_key: Option<AuditKey>,
}

impl DatabaseOptions {
    /// The usual limits for the database at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            pool_size: 5,
            busy_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(10),
            audit_key: None,
        }
    }
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The setting must be changed.
    #[error("read the database url: it must begin with sqlite:")]
    UnknownKind,
    /// The setting must be changed.
    #[error("read the database url")]
    BadUrl(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file or its folder needs attention: not there, not writable, not a database.
    #[error("open the database")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The schema could not be brought up to date; the database is as it was after the last whole step.
    #[error("bring the schema up to date")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An open database.
#[derive(Debug, Clone)]
pub struct Database {
    read: DatabaseConnection,
    write: DatabaseConnection,
    writer: Writer,
    audit_key: Option<AuditKey>,
}

impl Database {
    /// Opens the database and brings its schema up to date with `migrate` (`migration::up`).
    pub async fn open(
        options: &DatabaseOptions,
        migrate: impl AsyncFnOnce(&DatabaseConnection) -> Result<(), DbErr>,
    ) -> Result<Self, OpenError> {
        if !options.url.starts_with("sqlite:") {
            return Err(OpenError::UnknownKind);
        }
        let connect = connect_options(options)?;
        let write = pool_options(options).max_connections(1).idle_timeout(IDLE);
        let write: DatabaseConnection =
            write.connect_with(connect.clone()).await.map_err(unreachable)?.into();
        migrate(&write).await.map_err(|error| OpenError::Migration(Box::new(error)))?;

        let connect = connect.create_if_missing(false);
        let writer = Writer::new(connect.clone(), options.acquire_timeout);
        let connect = connect.pragma("query_only", "ON");
        let readers = options.pool_size.saturating_sub(1).max(1);
        let read = pool_options(options).max_connections(readers).idle_timeout(IDLE);
        let read = read.connect_with(connect).await.map_err(unreachable)?.into();
        Ok(Self { read, write, writer, audit_key: options.audit_key.clone() })
    }

    /// Opens a database that is there already, to look at it while a server may be running on it. Its schema is taken
    /// as it is, and every write fails.
    pub async fn open_to_read(options: &DatabaseOptions) -> Result<Self, OpenError> {
        if !options.url.starts_with("sqlite:") {
            return Err(OpenError::UnknownKind);
        }
        let connect = connect_options(options)?.create_if_missing(false).pragma("query_only", "ON");
        let writer = Writer::new(connect.clone(), options.acquire_timeout);
        let pool = pool_options(options).max_connections(1);
        let read = pool.connect_with(connect).await;
        let read: DatabaseConnection = read.map_err(|error| OpenError::Unreachable(Box::new(error)))?.into();
        Ok(Self { write: read.clone(), read, writer, audit_key: options.audit_key.clone() })
    }

    /// The domain's ports on this database.
    #[must_use]
    pub fn store(&self) -> Store {
        Store {
            read: self.read.clone(),
            write: self.write.clone(),
            writer: self.writer.clone(),
            audit_key: self.audit_key.clone(),
        }
    }

    /// Waits for running statements and closes every connection; the write-ahead log is folded into the file.
    ///
    /// Every store of this database answers [`domain::ports::StoreError::Unavailable`] from now on.
    pub async fn close(&self) -> Result<(), OpenError> {
        let closed = |error: DbErr| OpenError::Unreachable(Box::new(error));
        self.read.close_by_ref().await.map_err(closed)?;
        self.writer.close().await?;
        self.write.close_by_ref().await.map_err(closed)
    }
}

pub(crate) fn unreachable(error: sqlx::Error) -> OpenError {
    OpenError::Unreachable(Box::new(error))
}

fn connect_options(options: &DatabaseOptions) -> Result<SqliteConnectOptions, OpenError> {
    let bad_url = |error: sqlx::Error| OpenError::BadUrl(Box::new(error));
    Ok(options
        .url
        .parse::<SqliteConnectOptions>()
        .map_err(bad_url)?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // With a write-ahead log this survives the death of the process, at any instant; only a power cut may take the
        // last transactions (never the consistency), at less than half the cost of a sync per commit.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(options.busy_timeout)
        .pragma("cache_size", CACHE_KIB)
        .pragma("journal_size_limit", WAL_KEPT_BYTES)
        .pragma("temp_store", "MEMORY")
        // Statements carry prompts and hashes.
        .disable_statement_logging())
}

fn pool_options(options: &DatabaseOptions) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(options.acquire_timeout)
        // A connection to a file does not go stale; asking each time would double the round trips.
        .test_before_acquire(false)
        .max_lifetime(None)
}
