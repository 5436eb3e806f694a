//! The suite every store must pass, on both databases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::AuditKey;
use persistence::{Database, DatabaseOptions, Store};
use tempfile::TempDir;
use testkit::PostgresDatabase;

mod sqlite {
    testkit::store_conformance!(super::in_a_file());
}

mod postgres {
    testkit::store_conformance!(super::in_postgres());
}

/// A store in a file of its own, and what keeps the file there.
async fn in_a_file() -> (Store, (TempDir, Database)) {
    let folder = tempfile::tempdir().unwrap();
    let database = open(format!("sqlite://{}/steward.db", folder.path().display())).await;
    (database.store(), (folder, database))
}

/// A store in a database of its own, and what keeps that there.
async fn in_postgres() -> (Store, (PostgresDatabase, Database)) {
    let own = PostgresDatabase::create().await;
    let database = open(own.url().to_owned()).await;
    (database.store(), (own, database))
}

async fn open(url: String) -> Database {
    let audit_key = Some(AuditKey::derive(b"a key"));
    let options = DatabaseOptions { audit_key, ..DatabaseOptions::new(url) };
    Database::open(&options, migration::up).await.unwrap()
}
