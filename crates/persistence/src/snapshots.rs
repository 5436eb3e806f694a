//! Sessions' figures: as they are, as they were, and how many sessions there are.

use crate::{
    Store,
    entity::{
        metrics_snapshot::{self, Column as C},
        session, tool_call,
    },
    error::failure,
    page::{Counting, List, ListName, read_page, try_map},
    unit::row,
    value::{Reader, micros},
};
use async_trait::async_trait;
use domain::{
    MetricsSnapshot, Page, PageRequest, Session, SessionId, SessionMode, SessionStatus, ToolCallStatus,
    ports::{Snapshots, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect,
    prelude::Uuid,
    sea_query::{ExprTrait, LockType},
};
use std::collections::{BTreeMap, BTreeSet};

/// Tools that ran to their end; what was denied or cut off says nothing about how long a tool takes.
const RAN: [&str; 2] = [ToolCallStatus::Completed.as_str(), ToolCallStatus::Failed.as_str()];

#[async_trait]
impl Snapshots for Store {
    async fn measure(&self, sessions: &[SessionId], at: Timestamp) -> StoreResult<Vec<MetricsSnapshot>> {
        let ids = || sessions.iter().map(|id| id.0);
        let rows = session::Entity::find().filter(session::Column::Id.is_in(ids()));
        let rows = rows.order_by_asc(session::Column::Id).all(&self.read).await.map_err(failure)?;
        use tool_call::Column as T;
        let took = T::CompletedAt.into_expr().sub(T::CreatedAt.into_expr());
        let tools = tool_call::Entity::find()
            .select_only()
            .column(T::SessionId)
            .column_as(T::Id.count(), "calls")
            .column_as(took.sum().cast_as("bigint"), "micros")
            .filter(T::SessionId.is_in(ids()))
            .filter(T::Status.is_in(RAN))
            .filter(T::CompletedAt.is_not_null())
            .group_by(T::SessionId);
        let tools = tools.into_model::<ToolsRow>().all(&self.read).await.map_err(failure)?;
        let tools: BTreeMap<Uuid, ToolsRow> = tools.into_iter().map(|row| (row.session_id, row)).collect();
        let measured = rows.into_iter().map(|row| {
            let mean = tools.get(&row.id).map(ToolsRow::mean_ms);
            Ok(Session::try_from(row)?.snapshot(at, mean))
        });
        measured.collect()
    }

    async fn record_snapshots(&self, snapshots: &[MetricsSnapshot]) -> StoreResult<()> {
        let ids: BTreeSet<Uuid> = snapshots.iter().map(|snapshot| snapshot.session_id.0).collect();
        let mut reads = self.batch();
        // In the order of their ids, so that writers that meet wait for each other instead of deadlocking.
        let present = session::Entity::find()
            .select_only()
            .column(session::Column::Id)
            .filter(session::Column::Id.is_in(ids))
            .order_by_asc(session::Column::Id)
            .lock(LockType::KeyShare);
        let present = reads.select_as::<IdRow>(present);
        let (mut read, unit) = self.open(reads).await?;
        let present: BTreeSet<Uuid> = read.all(present)?.into_iter().map(|row| row.id).collect();
        let kept = snapshots.iter().filter(|snapshot| present.contains(&snapshot.session_id.0));
        let rows = kept.map(|snapshot| metrics_snapshot::Model::from(snapshot).into());
        let mut writes = self.batch();
        writes.insert_all::<metrics_snapshot::ActiveModel>(rows.collect());
        unit.commit(writes).await.map(drop)
    }

    async fn snapshots(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<MetricsSnapshot>> {
        let list = List {
            name: ListName::Snapshots,
            key: C::SnapshotAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &metrics_snapshot::Model| (row.snapshot_at, row.id),
        };
        let rows = metrics_snapshot::Entity::find().filter(C::SessionId.eq(session.0));
        try_map(read_page(&self.read, rows, &list, Counting::No, page).await?, MetricsSnapshot::try_from)
    }

    async fn prune_snapshots(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let old = metrics_snapshot::Entity::find()
            .select_only()
            .column(C::Id)
            .filter(C::SnapshotAt.lt(micros(before)))
            .order_by_asc(C::SnapshotAt)
            .order_by_asc(C::Id)
            .limit(u64::from(limit));
        let old = sea_orm::QueryTrait::into_query(old);
        self.write_one(metrics_snapshot::Entity::delete_many().filter(C::Id.in_subquery(old))).await
    }

    async fn census(&self) -> StoreResult<Vec<(SessionMode, SessionStatus, u64)>> {
        use session::Column as S;
        let rows = session::Entity::find()
            .select_only()
            .columns([S::Mode, S::Status])
            .column_as(S::Id.count(), "sessions")
            .group_by(S::Mode)
            .group_by(S::Status);
        let rows = rows.into_model::<CensusRow>().all(&self.read).await.map_err(failure)?;
        let reader = Reader("sessions");
        let counted = rows.into_iter().map(|row| {
            let mode = reader.word("mode", SessionMode::parse, &row.mode)?;
            let status = reader.word("status", SessionStatus::parse, &row.status)?;
            Ok((mode, status, row.sessions.unsigned_abs()))
        });
        counted.collect()
    }
}

row! {
    struct IdRow {
        id: Uuid,
    }
}

/// How many of a session's tools ran, and for how long together.
#[derive(Debug, FromQueryResult)]
struct ToolsRow {
    session_id: Uuid,
    calls: i64,
    micros: i64,
}

impl ToolsRow {
    fn mean_ms(&self) -> f64 {
        self.micros as f64 / 1000.0 / Ord::max(self.calls, 1) as f64
    }
}

#[derive(Debug, FromQueryResult)]
struct CensusRow {
    mode: String,
    status: String,
    sessions: i64,
}
