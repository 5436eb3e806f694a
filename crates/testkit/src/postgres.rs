//! A PostgreSQL database for one test, in the cluster that `cargo xtask test` has started.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and is told by the environment; this crate is for tests only"
)]

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, postgres::PgConnectOptions};
use std::thread;
use uuid::Uuid;

/// Where the cluster is; set by `cargo xtask test`.
const CLUSTER: &str = "STEWARD_TEST_POSTGRES_URL";

/// An empty database, which is gone when this is dropped.
#[derive(Debug)]
pub struct PostgresDatabase {
    url: String,
    cluster: PgConnectOptions,
    name: String,
}

impl PostgresDatabase {
    /// Makes a database of a name of its own.
    pub async fn create() -> Self {
        let url = std::env::var(CLUSTER);
        let url = url.unwrap_or_else(|_| panic!("{CLUSTER} is not set: run cargo xtask test"));
        let name = format!("test_{}", Uuid::new_v4().simple());
        let cluster: PgConnectOptions = url.parse().unwrap();
        let cluster = cluster.disable_statement_logging();
        run(&cluster, format!("CREATE DATABASE {name}")).await;
        let (server, _) = url.rsplit_once('/').unwrap();
        Self { url: format!("{server}/{name}"), cluster, name }
    }

    /// Where it is, for `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends every connection to it, as a restart of the database server does.
    pub async fn end_connections(&self) {
        let name = &self.name;
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname =";
        run(&self.cluster, format!("{ended} '{name}'")).await;
    }

    /// Runs a statement in it, on a connection of its own.
    pub async fn execute(&self, sql: &str) {
        run(&self.cluster.clone().database(&self.name), sql.to_owned()).await;
    }

    /// The first column of what a query finds, which must be text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let mut connection = self.cluster.clone().database(&self.name).connect().await.unwrap();
        let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let (cluster, name) = (self.cluster.clone(), self.name.clone());
        // The test's runtime cannot be waited for in here.
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(&cluster, format!("DROP DATABASE {name} WITH (FORCE)")));
        });
        // A database that stays goes with the cluster.
        let _ = dropping.join();
    }
}

async fn run(options: &PgConnectOptions, sql: String) {
    let mut connection = options.connect().await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}
