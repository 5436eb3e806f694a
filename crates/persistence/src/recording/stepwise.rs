//! The same inside a transaction of single statements, for what is not a unit of two trips yet.

#![expect(
    dead_code,
    reason = "for stores that are being written while the others are converted; goes with the last of them"
)]

use super::{Locked, LockedRow, Recording, locked_columns};
use crate::{entity::session, error::failure};
use domain::{Event, SessionId, ports::StoreResult};
use sea_orm::{ActiveModelTrait, DatabaseTransaction, EntityTrait, UpdateMany};

/// Rows of one INSERT; a row has at most 12 values, and SQLite takes 32766 of them.
const ROWS_PER_STATEMENT: usize = 1000;

/// Locks the session's row inside a transaction of single statements.
pub(crate) async fn lock_in(txn: &DatabaseTransaction, id: SessionId) -> StoreResult<Option<Locked>> {
    let row = locked_columns(session::Entity::find_by_id(id.0)).into_model::<LockedRow>();
    row.one(txn).await.map_err(failure)?.map(LockedRow::read).transpose()
}

impl Recording {
    /// The same inside a transaction of single statements.
    pub(crate) async fn write_in(
        self,
        txn: &DatabaseTransaction,
        changes: session::ActiveModel,
    ) -> StoreResult<(UpdateMany<session::Entity>, Vec<Event>)> {
        insert_all(txn, self.messages()).await?;
        insert_all(txn, self.rows()).await?;
        Ok((self.update(changes), self.events))
    }
}

async fn insert_all<A>(txn: &DatabaseTransaction, mut rows: Vec<A>) -> StoreResult<()>
where
    A: ActiveModelTrait,
{
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS_PER_STATEMENT));
        let insert = A::Entity::insert_many(rows);
        insert.exec_without_returning(txn).await.map_err(failure)?;
        rows = rest;
    }
    Ok(())
}
