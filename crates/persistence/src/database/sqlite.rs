//! SQLite: its pragmas, one connection that writes, and a pool that reads.

use super::{DatabaseOptions, OpenError, bad_url, unreachable};
use crate::unit::{SqliteWriter, Writer};
use sea_orm::{
    DatabaseConnection, DbErr,
    sqlx::{
        ConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use std::{thread, time::Duration};

/// What a write-ahead log that grew large is cut back to after a checkpoint.
const WAL_KEPT_BYTES: &str = "67108864";
/// A log of so many pages (those 64 MiB) is folded into the file by whoever commits. Before that a reader does it.
const WAL_PAGES_MAX: &str = "16384";
/// The page cache of one connection, in KiB as SQLite's negative notation wants it; it grows with use only.
const CACHE_KIB: &str = "-4096";

/// A connection that nobody needs any more is closed after this; each costs a thread and its cache.
const IDLE: Duration = Duration::from_secs(60);
/// As many may read at once on a machine with one core: one of them may take long.
const READERS_MIN: u32 = 4;

pub(super) async fn open(
    options: &DatabaseOptions,
    migrate: impl AsyncFnOnce(&DatabaseConnection) -> Result<(), DbErr>,
) -> Result<(DatabaseConnection, Writer), OpenError> {
    let connect = connect_options(options)?;
    let migrating = pool_options(options).max_connections(1).connect_with(connect.clone());
    let migrating: DatabaseConnection = migrating.await.map_err(unreachable)?.into();
    let migrated = migrate(&migrating).await;
    migrating.close().await.map_err(|error| OpenError::Unreachable(Box::new(error)))?;
    migrated.map_err(|error| OpenError::Migration(Box::new(error)))?;

    let connect = connect.create_if_missing(false);
    let read = pool_options(options).max_connections(readers(options)).idle_timeout(IDLE);
    let read = read.connect_with(connect.clone().pragma("query_only", "ON")).await.map_err(unreachable)?;
    let writer = SqliteWriter::beside(connect, options.acquire_timeout, read.clone());
    Ok((read.into(), Writer::Sqlite(writer)))
}

/// Each reads on a thread of its own, so that more than keep the cores busy only take memory: half a mebibyte each.
fn readers(options: &DatabaseOptions) -> u32 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let useful = u32::try_from(2 * cores).unwrap_or(u32::MAX).max(READERS_MIN);
    options.pool_size.saturating_sub(1).clamp(1, useful)
}

pub(super) async fn open_to_read(
    options: &DatabaseOptions,
) -> Result<(DatabaseConnection, Writer), OpenError> {
    let connect = connect_options(options)?.create_if_missing(false).pragma("query_only", "ON");
    let writer = SqliteWriter::new(connect.clone(), options.acquire_timeout);
    let read = pool_options(options).max_connections(1).connect_with(connect).await.map_err(unreachable)?;
    Ok((read.into(), Writer::Sqlite(writer)))
}

fn connect_options(options: &DatabaseOptions) -> Result<SqliteConnectOptions, OpenError> {
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
        .pragma("wal_autocheckpoint", WAL_PAGES_MAX)
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
