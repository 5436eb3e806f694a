//! The suite every store must pass, on SQLite.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::AuditKey;
use persistence::{Database, DatabaseOptions, Store};
use tempfile::TempDir;

/// A store in a file of its own, and what keeps the file there.
async fn fresh() -> (Store, (TempDir, Database)) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/steward.db", folder.path().display());
    let audit_key = Some(AuditKey::derive(b"a key"));
    let options = DatabaseOptions { audit_key, ..DatabaseOptions::new(url) };
    let database = Database::open(&options, migration::up).await.unwrap();
    (database.store(), (folder, database))
}

testkit::store_conformance!(fresh());
