//! The audit log: appending to the chain inside whatever transaction did the thing, and reading it back.

use crate::{
    Store,
    entity::{
        audit_entry::{self, Column as C},
        audit_head,
    },
    error::failure,
    sessions::starting_with,
    value::{Reader, micros},
};
use async_trait::async_trait;
use domain::{
    AuditEntry, AuditEvent, AuditFilter, AuditHead,
    ports::{Audit, StoreError, StoreResult},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait,
};

impl Store {
    /// Chains the events to the log as part of this transaction: they are there if and only if it commits.
    ///
    /// It must be the last thing before the commit where several write, because nobody else appends in between.
    pub(crate) async fn append_audit(
        &self,
        txn: &DatabaseTransaction,
        events: impl IntoIterator<Item = AuditEvent>,
    ) -> StoreResult<AuditHead> {
        // SQLite's transaction is the only writer anyway; where several write, the row's lock queues them.
        let mut head = read_head(txn, audit_head::Entity::find().lock_exclusive()).await?;
        let mut rows = Vec::new();
        for event in events {
            let entry = AuditEntry::following(head, event, self.audit_key.as_ref())
                .map_err(|error| StoreError::Failed(Box::new(error)))?;
            head = entry.head();
            rows.push(audit_entry::ActiveModel::from(audit_entry::Model::new(entry)?));
        }
        if !rows.is_empty() {
            let insert = audit_entry::Entity::insert_many(rows);
            insert.exec_without_returning(txn).await.map_err(failure)?;
        }
        Ok(head)
    }
}

#[async_trait]
impl Audit for Store {
    async fn append(&self, events: &[AuditEvent]) -> StoreResult<AuditHead> {
        let txn = self.begin_writing().await?;
        let head = self.append_audit(&txn, events.iter().cloned()).await?;
        txn.commit().await.map_err(failure)?;
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
        read_head(&self.read, audit_head::Entity::find()).await
    }
}

async fn read_head(
    db: &impl ConnectionTrait,
    select: sea_orm::Select<audit_head::Entity>,
) -> StoreResult<AuditHead> {
    let reader = Reader("audit_head");
    let row = select.one(db).await.map_err(failure)?.ok_or(reader.inconsistent("id"))?;
    Ok(AuditHead {
        seq: reader.figure("last_seq", row.last_seq)?,
        hash: reader.sha256("last_hash", &row.last_hash)?,
    })
}
