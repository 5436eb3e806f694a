//! Opening the database, of whichever kind the URL says.

mod postgres;
mod sqlite;

use crate::{
    Store,
    unit::{Texts, Writer},
};
use domain::AuditKey;
use sea_orm::{DatabaseConnection, DbErr, sqlx};
use std::{fmt, time::Duration};

/// Where the database is and how much it may be used.
#[derive(Clone)]
pub struct DatabaseOptions {
    /// `sqlite://path/to/file`, which is created if it is not there, or `postgres://user:password@host/database`.
    pub url: String,
    /// Connections in all, at least 2. With SQLite one writes and the others read, of which it takes no more than keep the
    /// cores busy.
    pub pool_size: u32,
    /// How long a statement waits for whoever holds the file or the row.
    pub busy_timeout: Duration,
    /// How long a call waits for a free connection before the store counts as unavailable.
    pub acquire_timeout: Duration,
    /// How long a statement may take at all; SQLite's are not limited.
    pub statement_timeout: Duration,
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
            statement_timeout: Duration::from_secs(30),
            audit_key: None,
        }
    }
}

impl fmt::Debug for DatabaseOptions {
    /// Without the URL, which may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseOptions").field("pool_size", &self.pool_size).finish_non_exhaustive()
    }
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The setting must be changed.
    #[error("read the database url: it must begin with sqlite: or postgres:")]
    UnknownKind,
    /// The setting must be changed.
    #[error("read the database url")]
    BadUrl(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file, its folder or the database server needs attention: not there, not writable, not a database, refusing
    /// the login.
    #[error("open the database")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The schema could not be brought up to date; the database is as it was after the last whole step.
    #[error("bring the schema up to date")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An open database.
#[derive(Debug, Clone)]
pub struct Database {
    pub(crate) read: DatabaseConnection,
    pub(crate) writer: Writer,
    texts: Texts,
    audit_key: Option<AuditKey>,
}

/// The databases there are.
enum Kind {
    Sqlite,
    Postgres,
}

impl Database {
    /// Whether other servers may be on it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.writer, Writer::Postgres(_))
    }

    /// Opens the database and brings its schema up to date with `migrate` (`migration::up`). Several servers may do so
    /// at once on one PostgreSQL.
    pub async fn open(
        options: &DatabaseOptions,
        migrate: impl AsyncFnOnce(&DatabaseConnection) -> Result<(), DbErr>,
    ) -> Result<Self, OpenError> {
        let (read, writer) = match Kind::of(&options.url)? {
            Kind::Sqlite => sqlite::open(options, migrate).await?,
            Kind::Postgres => postgres::open(options, migrate).await?,
        };
        Ok(Self { read, writer, texts: Texts::default(), audit_key: options.audit_key.clone() })
    }

    /// Opens a database that is there already, to look at it while a server may be running on it. Its schema is taken
    /// as it is, and every write fails.
    pub async fn open_to_read(options: &DatabaseOptions) -> Result<Self, OpenError> {
        let (read, writer) = match Kind::of(&options.url)? {
            Kind::Sqlite => sqlite::open_to_read(options).await?,
            Kind::Postgres => postgres::open_to_read(options).await?,
        };
        Ok(Self { read, writer, texts: Texts::default(), audit_key: options.audit_key.clone() })
    }

    /// The domain's ports on this database.
    #[must_use]
    pub fn store(&self) -> Store {
        let Self { read, writer, texts, audit_key } = self.clone();
        Store { read, writer, texts, audit_key }
    }

    /// Waits for running statements and closes every connection; SQLite's write-ahead log is folded into the file.
    ///
    /// Every store of this database answers [`domain::ports::StoreError::Unavailable`] from now on.
    pub async fn close(&self) -> Result<(), OpenError> {
        self.read.close_by_ref().await.map_err(|error| OpenError::Unreachable(Box::new(error)))?;
        self.writer.close().await.map_err(unreachable)
    }
}

impl Kind {
    fn of(url: &str) -> Result<Self, OpenError> {
        match url.split_once(':') {
            Some(("sqlite", _)) => Ok(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            _ => Err(OpenError::UnknownKind),
        }
    }
}

fn unreachable(error: sqlx::Error) -> OpenError {
    OpenError::Unreachable(Box::new(error))
}

fn bad_url(error: sqlx::Error) -> OpenError {
    OpenError::BadUrl(Box::new(error))
}
