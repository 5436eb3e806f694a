//! What one user may have only so many of.

use crate::{
    Store, audit,
    unit::{Answers, Batch, Rows, row},
};
use domain::{AuditEvent, ports::StoreResult};
use sea_orm::{EntityTrait, QuerySelect, Select, sea_query::Expr};

row! {
    /// How many there are.
    pub(crate) struct Owned {
        count: i64,
    }
}

impl Store {
    /// A unit of work that adds one to these of its owner, and of which the log tells one thing; false if they are `max`
    /// already, however many are added at once.
    pub(crate) async fn add_owned<E: EntityTrait>(
        &self,
        owned: Select<E>,
        max: u32,
        event: AuditEvent,
        add: impl FnOnce(&mut Batch),
    ) -> StoreResult<bool> {
        let mut reads = self.batch();
        // Whoever adds another one waits for this lock, so that what is counted behind it stays true.
        let head = audit::lock_head(&mut reads);
        let count = count(&mut reads, owned);
        let (mut read, unit) = self.open(reads).await?;
        if !has_room(&mut read, count, max)? {
            return Ok(false);
        }
        let mut writes = self.batch();
        add(&mut writes);
        let head = audit::head(&mut read, head)?;
        self.chain(&mut writes, head, [event])?;
        unit.commit(writes).await?;
        Ok(true)
    }
}

/// Reads how many of these there are.
pub(crate) fn count<E: EntityTrait>(reads: &mut Batch, owned: Select<E>) -> Rows<Owned> {
    reads.select_as(owned.select_only().column_as(Expr::cust("COUNT(*)"), "count"))
}

/// Whether they are fewer than `max`.
pub(crate) fn has_room(read: &mut Answers, count: Rows<Owned>, max: u32) -> StoreResult<bool> {
    Ok(read.first(count)?.is_some_and(|owned| owned.count < i64::from(max)))
}
