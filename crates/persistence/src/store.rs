//! The store: a pool to read from, a connection to write through.

use crate::error::failure;
use async_trait::async_trait;
use domain::{
    AuditKey,
    ports::{Accounts, Ping, StoreResult},
};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

/// The domain's ports on a database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) read: DatabaseConnection,
    /// One statement by itself, or [`Store::begin_writing`].
    pub(crate) write: DatabaseConnection,
    /// Signs the entries of the audit log.
    pub(crate) audit_key: Option<AuditKey>,
}

impl Store {
    pub(crate) fn new(
        read: DatabaseConnection,
        write: DatabaseConnection,
        audit_key: Option<AuditKey>,
    ) -> Self {
        Self { read, write, audit_key }
    }

    /// A transaction that is the writer from its first statement.
    ///
    /// One that reads first and then wants to write would be refused by SQLite, without waiting, if another process
    /// wrote in between.
    pub(crate) async fn begin_writing(&self) -> StoreResult<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.write.begin_with_options(options).await.map_err(failure)
    }
}

#[async_trait]
impl Ping for Store {
    async fn ping(&self) -> StoreResult<()> {
        // A statement, because sqlx's own ping asks its thread and not the database.
        self.any_user().await.map(drop)
    }
}
