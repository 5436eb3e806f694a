//! The store: a pool to read from, a writer to write through.

use crate::{
    entity::server,
    error::failure,
    unit::{Texts, Writer},
};
use async_trait::async_trait;
use domain::{
    AuditKey, ServerId,
    ports::{Accounts, Ping, StoreError, StoreResult},
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, sea_query::Expr};

/// The domain's ports on a database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) read: DatabaseConnection,
    /// [`Store::open`], [`Store::write_whole`] and [`Store::write_one`].
    pub(crate) writer: Writer,
    pub(crate) texts: Texts,
    /// Signs the entries of the audit log.
    pub(crate) audit_key: Option<AuditKey>,
}

#[async_trait]
impl Ping for Store {
    async fn ping(&self) -> StoreResult<()> {
        // A statement, because sqlx's own ping asks its thread and not the database.
        self.any_user().await.map(drop)
    }

    async fn write_and_read(&self, server: ServerId) -> StoreResult<()> {
        // The lease stays what it is; that a row is written, committed and found is what counts.
        let same = Expr::col(server::Column::ExpiresAt);
        let write = server::Entity::update_many().col_expr(server::Column::ExpiresAt, same);
        let written = self.write_one(write.filter(server::Column::Id.eq(server.0))).await?;
        let row = server::Entity::find_by_id(server.0).one(&self.read).await.map_err(failure)?;
        match (written, row) {
            (1, Some(_)) => Ok(()),
            _ => Err(StoreError::Inconsistent { table: "servers", column: "id" }),
        }
    }
}
