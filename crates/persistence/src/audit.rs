//! The audit log: appending to the chain inside whatever unit of work did the thing, and reading it back.

use crate::{
    Store,
    entity::{
        audit_entry::{self, Column as C},
        audit_head,
    },
    error::failure,
    sessions::starting_with,
    unit::{Answers, Batch, Rows},
    value::{Reader, micros},
};
use async_trait::async_trait;
use domain::{
    AuditEntry, AuditEvent, AuditFilter, AuditHead,
    ports::{Audit, StoreError, StoreResult},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, sea_query::LockType,
};

/// Locks the end of the chain, to which this unit of work will append. Nobody else appends until it is over.
pub(crate) fn lock_head(reads: &mut Batch) -> Rows<audit_head::Model> {
    reads.select(audit_head::Entity::find().lock(LockType::NoKeyUpdate))
}

/// The end of the chain that was locked.
pub(crate) fn head(answers: &mut Answers, head: Rows<audit_head::Model>) -> StoreResult<AuditHead> {
    read(answers.first(head)?)
}

impl Store {
    /// Chains the events to the log as part of this unit of work: they are there if and only if it is committed.
    pub(crate) fn chain(
        &self,
        writes: &mut Batch,
        mut head: AuditHead,
        events: impl IntoIterator<Item = AuditEvent>,
    ) -> StoreResult<AuditHead> {
        let mut rows = Vec::new();
        for event in events {
            let entry = AuditEntry::following(head, event, self.audit_key.as_ref())
                .map_err(|error| StoreError::Failed(Box::new(error)))?;
            head = entry.head();
            rows.push(audit_entry::ActiveModel::from(audit_entry::Model::new(entry)?));
        }
        writes.insert_all(rows);
        Ok(head)
    }

    /// A unit of work that adds a row or two, and of which the log tells one thing.
    pub(crate) async fn write_audited(
        &self,
        write: impl FnOnce(&mut Batch),
        event: AuditEvent,
    ) -> StoreResult<()> {
        let (_, mut change) = self.change(self.quick_batch()).await?;
        write(&mut change.writes);
        change.commit(self, [event]).await
    }
}

#[async_trait]
impl Audit for Store {
    async fn append(&self, events: &[AuditEvent]) -> StoreResult<AuditHead> {
        let mut reads = self.batch();
        let locked = lock_head(&mut reads);
        let (mut read, unit) = self.open(reads).await?;
        let mut writes = self.batch();
        let head = self.chain(&mut writes, head(&mut read, locked)?, events.iter().cloned())?;
        unit.commit(writes).await?;
        Ok(head)
    }

    async fn entries_after(
        &self,
        seq: u64,
        limit: u32,
        filter: &AuditFilter,
    ) -> StoreResult<Vec<AuditEntry>> {
        // Nothing comes after a number that no log reaches.
        let Ok(seq) = i64::try_from(seq) else { return Ok(Vec::new()) };
        let of_actor = |id| Condition::any().add(C::ActorUserId.eq(id)).add(C::ActorApiKeyId.eq(id));
        let select = audit_entry::Entity::find()
            .filter(C::Seq.gt(seq))
            .apply_if(filter.action.as_deref(), |rows, prefix| {
                rows.filter(C::Action.like(starting_with(prefix)))
            })
            .apply_if(filter.actor, |rows, id| rows.filter(of_actor(id)))
            .apply_if(filter.session_id, |rows, id| rows.filter(C::SessionId.eq(id.0)))
            .apply_if(filter.from, |rows, at| rows.filter(C::At.gte(micros(at))))
            .apply_if(filter.before, |rows, at| rows.filter(C::At.lt(micros(at))))
            .order_by_asc(C::Seq)
            .limit(u64::from(limit));
        let rows = self.read.query_all(&select.into_query()).await.map_err(failure)?;
        let mut entries = Vec::with_capacity(rows.len());
        // Row by row: where the log is damaged, what comes before can still be read.
        for row in rows {
            let row = audit_entry::Model::from_query_result(&row, "").map_err(failure);
            match row.and_then(AuditEntry::try_from) {
                Ok(entry) => entries.push(entry),
                Err(error) if entries.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(entries)
    }

    async fn head(&self) -> StoreResult<AuditHead> {
        read(audit_head::Entity::find().one(&self.read).await.map_err(failure)?)
    }
}

fn read(row: Option<audit_head::Model>) -> StoreResult<AuditHead> {
    let reader = Reader("audit_head");
    let row = row.ok_or(reader.inconsistent("id"))?;
    Ok(AuditHead {
        seq: reader.figure("last_seq", row.last_seq)?,
        hash: reader.sha256("last_hash", &row.last_hash)?,
    })
}
