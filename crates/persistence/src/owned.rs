//! What one user may have only so many of.

use crate::{Store, audit, unit::row};
use domain::{AuditEvent, ports::StoreResult};
use sea_orm::{ActiveModelTrait, EntityTrait, QuerySelect, Select, sea_query::Expr};

row! {
    /// How many there are.
    struct Owned {
        count: i64,
    }
}

impl Store {
    /// A unit of work that adds a row to these of its owner, and of which the log tells one thing; false if they are `max`
    /// already, however many are added at once.
    pub(crate) async fn add_owned<E: EntityTrait>(
        &self,
        owned: Select<E>,
        max: u32,
        row: impl ActiveModelTrait<Entity = E>,
        event: AuditEvent,
    ) -> StoreResult<bool> {
        let mut reads = self.batch();
        // Whoever adds another one waits for this lock, so that what is counted behind it stays true.
        let head = audit::lock_head(&mut reads);
        let count = owned.select_only().column_as(Expr::cust("COUNT(*)"), "count");
        let count = reads.select_as::<Owned>(count);
        let (mut read, unit) = self.open(reads).await?;
        if read.first(count)?.is_none_or(|owned| owned.count >= i64::from(max)) {
            return Ok(false);
        }
        let mut writes = self.batch();
        writes.insert(row);
        let head = audit::head(&mut read, head)?;
        self.chain(&mut writes, head, [event])?;
        unit.commit(writes).await?;
        Ok(true)
    }
}
