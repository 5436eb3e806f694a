//! The store: a pool to read from, a writer to write through.

use crate::unit::Writer;
use async_trait::async_trait;
use domain::{
    AuditKey,
    ports::{Accounts, Ping, StoreResult},
};
use sea_orm::DatabaseConnection;

/// The domain's ports on a database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) read: DatabaseConnection,
    /// [`Store::open`], [`Store::write_whole`] and [`Store::write_one`].
    pub(crate) writer: Writer,
    /// Signs the entries of the audit log.
    pub(crate) audit_key: Option<AuditKey>,
}

#[async_trait]
impl Ping for Store {
    async fn ping(&self) -> StoreResult<()> {
        // A statement, because sqlx's own ping asks its thread and not the database.
        self.any_user().await.map(drop)
    }
}
