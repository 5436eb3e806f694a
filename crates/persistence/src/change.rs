//! A change that the audit log tells of: what is read under locks, then what is written, and the entry with it.

use crate::{
    Store, audit,
    unit::{Answers, Batch, FromRow, Unit},
};
use domain::{
    AuditEvent, AuditHead,
    ports::{StoreError, StoreResult},
};
use sea_orm::{EntityTrait, QuerySelect, Select, sea_query::LockType};

/// A change that has begun. One that is dropped leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Change {
    /// What it writes.
    pub(crate) writes: Batch,
    head: AuditHead,
    unit: Unit,
}

impl Store {
    /// Begins a change that is decided by these reads.
    pub(crate) async fn change(&self, mut reads: Batch) -> StoreResult<(Answers, Change)> {
        let head = audit::lock_head(&mut reads);
        let (mut read, unit) = self.open(reads).await?;
        let head = audit::head(&mut read, head)?;
        Ok((read, Change { writes: self.batch(), head, unit }))
    }

    /// Begins a change of the first of these, which stays as it is found until then; `None` if there is none.
    pub(crate) async fn change_of<E, T>(&self, rows: Select<E>) -> StoreResult<Option<(T, Change)>>
    where
        E: EntityTrait,
        E::Model: FromRow,
        T: TryFrom<E::Model, Error = StoreError>,
    {
        let mut reads = self.batch();
        let row = reads.select(rows.lock(LockType::NoKeyUpdate));
        let (mut read, change) = self.change(reads).await?;
        read.first(row)?.map(|row| Ok((row.try_into()?, change))).transpose()
    }
}

impl Change {
    /// Writes it, and what the log says of it.
    pub(crate) async fn commit(
        mut self,
        store: &Store,
        events: impl IntoIterator<Item = AuditEvent>,
    ) -> StoreResult<()> {
        store.chain(&mut self.writes, self.head, events)?;
        self.unit.commit(self.writes).await.map(drop)
    }
}
