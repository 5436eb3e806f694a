//! PostgreSQL: limits on every connection, a pool that outlives a restart of the database, and one migrator at a time.

use super::{DatabaseOptions, OpenError, bad_url, unreachable};
use crate::unit::{PostgresWriter, Writer};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr,
    sqlx::{
        ConnectOptions, Connection,
        postgres::{PgConnectOptions, PgPool, PgPoolOptions},
    },
};
use std::time::Duration;

const APPLICATION_NAME: &str = "steward";
/// Statements a connection keeps prepared; there are fewer in this crate.
const PREPARED_STATEMENTS_MAX: usize = 256;

/// A connection that nobody needs any more is closed after this; each is a process over there.
const IDLE: Duration = Duration::from_secs(60);
/// A connection that has lain idle for longer is asked whether it is still there. Under load none is, so that the
/// question, a trip of its own, is seldom paid for; after a restart of the database all are.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// A server that stands still between two trips holds rows that others wait for no longer than this.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);

/// Names the lock of whoever migrates: the ASCII of "steward".
const MIGRATION_LOCK: i64 = 0x0073_7465_7761_7264;

pub(super) async fn open(
    options: &DatabaseOptions,
    migrate: impl AsyncFnOnce(&DatabaseConnection) -> Result<(), DbErr>,
) -> Result<(DatabaseConnection, Writer), OpenError> {
    let connect = connect_options(options)?;
    migrate_alone(options, connect.clone(), migrate).await?;
    let connect = limited(connect, options);
    let pool = pool_options(options, options.pool_size.max(2));
    let pool = pool.connect_with(connect.clone()).await.map_err(unreachable)?;
    let leases = pool_options(options, 1).connect_lazy_with(connect.clone());
    let listening = PgPoolOptions::new().max_connections(1).acquire_timeout(options.acquire_timeout);
    let writer = PostgresWriter::new(pool.clone(), leases, listening.connect_lazy_with(connect));
    Ok((pool.into(), Writer::Postgres(writer)))
}

pub(super) async fn open_to_read(
    options: &DatabaseOptions,
) -> Result<(DatabaseConnection, Writer), OpenError> {
    let connect = limited(connect_options(options)?, options);
    let connect = connect.options([("default_transaction_read_only", "on")]);
    let pool: PgPool = pool_options(options, 1).connect_with(connect).await.map_err(unreachable)?;
    Ok((pool.clone().into(), Writer::Postgres(PostgresWriter::new(pool.clone(), pool.clone(), pool))))
}

/// Brings the schema up to date while no other server does. Steps may take long, so nothing limits them.
async fn migrate_alone(
    options: &DatabaseOptions,
    connect: PgConnectOptions,
    migrate: impl AsyncFnOnce(&DatabaseConnection) -> Result<(), DbErr>,
) -> Result<(), OpenError> {
    // One connection, because the lock is that connection's and ends with it.
    let only = PgPoolOptions::new().max_connections(1).acquire_timeout(options.acquire_timeout);
    let only = only.idle_timeout(None).max_lifetime(None).test_before_acquire(false);
    let db: DatabaseConnection = only.connect_with(connect).await.map_err(unreachable)?.into();
    let migrated = async {
        db.execute_unprepared(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).await?;
        migrate(&db).await
    };
    let migrated = migrated.await.map_err(|error| OpenError::Migration(Box::new(error)));
    let closed = db.close().await.map_err(|error| OpenError::Unreachable(Box::new(error)));
    migrated.and(closed)
}

fn connect_options(options: &DatabaseOptions) -> Result<PgConnectOptions, OpenError> {
    let connect: PgConnectOptions = options.url.parse().map_err(bad_url)?;
    let name = connect.get_application_name().unwrap_or(APPLICATION_NAME).to_owned();
    Ok(connect
        .application_name(&name)
        .statement_cache_capacity(PREPARED_STATEMENTS_MAX)
        // Statements carry prompts and hashes.
        .disable_statement_logging())
}

/// With the limits of statements that people wait for. What the URL says about them stands.
fn limited(connect: PgConnectOptions, options: &DatabaseOptions) -> PgConnectOptions {
    let said = connect.get_options().unwrap_or_default().to_owned();
    let limits = [
        ("statement_timeout", options.statement_timeout),
        ("lock_timeout", options.busy_timeout),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
    ];
    let ours = limits.into_iter().filter(|(name, _)| !said.contains(name));
    connect.options(ours.map(|(name, limit)| (name, limit.as_millis())))
}

fn pool_options(options: &DatabaseOptions, connections_max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(options.acquire_timeout)
        .idle_timeout(IDLE)
        .test_before_acquire(false)
        .before_acquire(|connection, seen| {
            Box::pin(async move {
                if seen.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}
