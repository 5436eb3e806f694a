//! SQLite: its pragmas, one connection that writes, and a pool that reads.

use super::{DatabaseOptions, OpenError, bad_url, unreachable};
use crate::unit::{SqliteWriter, SqliteWriterOptions, Writer};
use sea_orm::{
    DatabaseConnection, DbErr,
    sqlx::{
        ConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
    },
};
use std::{thread, time::Duration};

/// What every connection is told.
const PRAGMAS: [(&str, &str); 6] = [
    ("foreign_keys", "ON"),
    // With a write-ahead log this survives the death of the process, at any instant; only a power cut may take the last
    // transactions (never the consistency), at less than half the cost of a sync per commit.
    ("synchronous", "NORMAL"),
    // The page cache of one connection, in KiB as SQLite's negative notation wants it; it grows with use only.
    ("cache_size", "-4096"),
    // What a write-ahead log that grew large is cut back to after a checkpoint.
    ("journal_size_limit", "67108864"),
    // A log of so many pages (those 64 MiB) is folded into the file by whoever commits. Before that a reader does it.
    ("wal_autocheckpoint", "16384"),
    ("temp_store", "MEMORY"),
];
/// What one that must not write is told besides.
const QUERY_ONLY: (&str, &str) = ("query_only", "ON");

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
    let writing = writer_options(options, &connect, Vec::new());
    let read = pool_options(options).max_connections(readers(options)).idle_timeout(IDLE);
    let read = read.connect_with(connect.pragma(QUERY_ONLY.0, QUERY_ONLY.1)).await.map_err(unreachable)?;
    let writer = SqliteWriter::new(writing, Some(read.clone()));
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
    let connect = connect_options(options)?.create_if_missing(false).pragma(QUERY_ONLY.0, QUERY_ONLY.1);
    let writing = writer_options(options, &connect, vec![(QUERY_ONLY.0, QUERY_ONLY.1.to_owned())]);
    let writer = SqliteWriter::new(writing, None);
    let read = pool_options(options).max_connections(1).connect_with(connect).await.map_err(unreachable)?;
    Ok((read.into(), Writer::Sqlite(writer)))
}

fn connect_options(options: &DatabaseOptions) -> Result<SqliteConnectOptions, OpenError> {
    let connect = options
        .url
        .parse::<SqliteConnectOptions>()
        .map_err(bad_url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(options.busy_timeout)
        // Statements carry prompts and hashes.
        .disable_statement_logging();
    Ok(PRAGMAS.into_iter().fold(connect, |connect, (name, value)| connect.pragma(name, value)))
}

fn writer_options(
    options: &DatabaseOptions,
    connect: &SqliteConnectOptions,
    more: Vec<(&'static str, String)>,
) -> SqliteWriterOptions {
    let pragmas = PRAGMAS.into_iter().map(|(name, value)| (name, value.to_owned())).chain(more).collect();
    SqliteWriterOptions {
        file: connect.get_filename().to_owned(),
        pragmas,
        busy_timeout: options.busy_timeout,
        patience: options.acquire_timeout,
    }
}

fn pool_options(options: &DatabaseOptions) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(options.acquire_timeout)
        // A connection to a file does not go stale; asking each time would double the round trips.
        .test_before_acquire(false)
        .max_lifetime(None)
}
