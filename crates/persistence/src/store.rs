//! The store: a pool to read from, a writer to write through.

use crate::{error::failure, unit::Writer};
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
    /// [`Store::open`], [`Store::write_whole`] and [`Store::write_one`].
    pub(crate) writer: Writer,
    /// [`Store::begin_writing`]; SQLite makes it and the writer wait for each other.
    pub(crate) write: DatabaseConnection,
    /// Signs the entries of the audit log.
    pub(crate) audit_key: Option<AuditKey>,
}

impl Store {
    /// A transaction that is the writer from its first statement, each of which is a trip of its own.
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
