//! What hooks did: many runs in one unit of work.

use crate::{
    Store,
    entity::{
        hook_delivery, hook_endpoint,
        hook_run::{self, Column as C},
        session,
    },
    error::failure,
    page::{List, ListName, read_page, try_map},
    recording::{Recording, insert_all, lock},
    value::stored,
};
use async_trait::async_trait;
use domain::{
    Event, EventKind, HookDelivery, HookRun, Page, PageRequest, SessionId,
    hook::HookRunFilter,
    journal::data,
    ports::{HookRuns, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, Order, QueryFilter, QuerySelect, QueryTrait,
    prelude::Uuid, sea_query::ExprTrait,
};
use std::collections::{BTreeMap, BTreeSet};

#[async_trait]
impl HookRuns for Store {
    async fn record_hook_runs(
        &self,
        runs: Vec<HookRun>,
        deliveries: Vec<HookDelivery>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        let txn = self.begin_writing().await?;
        // In the order of their ids, so that writers that meet queue for the sessions' rows instead of deadlocking.
        let mut of_session: BTreeMap<SessionId, Vec<HookRun>> = BTreeMap::new();
        for run in runs {
            of_session.entry(run.session_id).or_default().push(run);
        }
        let mut events = Vec::new();
        for (session, runs) in of_session {
            events.extend(record(&txn, session, runs, at).await?);
        }
        enqueue(&txn, deliveries).await?;
        txn.commit().await.map_err(failure)?;
        Ok(events)
    }

    async fn hook_runs(
        &self,
        session: SessionId,
        filter: &HookRunFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<HookRun>> {
        let list = List {
            name: ListName::HookRuns,
            key: C::ExecutedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &hook_run::Model| (row.executed_at, row.id),
        };
        let rows = hook_run::Entity::find()
            .filter(C::SessionId.eq(session.0))
            .apply_if(filter.hook_type.as_deref(), |rows, kind| rows.filter(C::HookType.eq(kind)))
            .apply_if(filter.tool_use_id.as_deref(), |rows, id| rows.filter(C::ToolUseId.eq(id)));
        try_map(read_page(&self.read, rows, &list, page).await?, HookRun::try_from)
    }
}

async fn record(
    txn: &DatabaseTransaction,
    session: SessionId,
    runs: Vec<HookRun>,
    at: Timestamp,
) -> StoreResult<Vec<Event>> {
    let Some(locked) = lock(txn, session).await? else { return Ok(Vec::new()) };
    let mut recording = Recording::new(&locked, None, at)?;
    for run in runs.iter().filter(|run| run.is_notable) {
        recording.turn = run.turn_id;
        recording.data(EventKind::HookExecuted, data::hook_executed(run));
    }
    let count = stored(runs.len());
    let rows = runs.into_iter().map(|run| hook_run::Model::from(run).into());
    insert_all::<hook_run::ActiveModel>(txn, rows.collect()).await?;
    let (update, events) = recording.write(txn, session::ActiveModel::default()).await?;
    let executions = session::Column::HookExecutionCount;
    let update = update.col_expr(executions, executions.into_expr().add(count));
    update.exec(txn).await.map_err(failure)?;
    Ok(events)
}

/// Stores deliveries. Those to an endpoint that was deleted meanwhile have nowhere to go.
async fn enqueue(txn: &DatabaseTransaction, deliveries: Vec<HookDelivery>) -> StoreResult<()> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let wanted: BTreeSet<Uuid> = deliveries.iter().map(|delivery| delivery.endpoint_id.0).collect();
    let known: Vec<Uuid> = hook_endpoint::Entity::find()
        .select_only()
        .column(hook_endpoint::Column::Id)
        .filter(hook_endpoint::Column::Id.is_in(wanted))
        .into_tuple()
        .all(txn)
        .await
        .map_err(failure)?;
    let rows = deliveries.into_iter().filter(|delivery| known.contains(&delivery.endpoint_id.0));
    let rows = rows.map(|delivery| hook_delivery::Model::from(delivery).into());
    insert_all::<hook_delivery::ActiveModel>(txn, rows.collect()).await
}
