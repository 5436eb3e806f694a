//! What hooks did: many runs in one unit of work.

use crate::{
    Store, audit,
    entity::{
        hook_delivery, hook_endpoint,
        hook_run::{self, Column as C},
        session,
    },
    page::{Counting, List, ListName, read_page, try_map},
    recording::{Locked, Recording, lock, locked},
    unit::Batch,
    value::stored,
};
use async_trait::async_trait;
use domain::{
    Event, EventKind, Generation, HookDelivery, HookRun, Page, PageRequest, SessionId,
    audit::events as audited,
    hook::HookRunFilter,
    journal::data,
    ports::{HookRuns, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, EntityTrait, Order, QueryFilter, QueryTrait, prelude::Uuid, sea_query::ExprTrait,
};
use std::collections::{BTreeMap, BTreeSet};

#[async_trait]
impl HookRuns for Store {
    async fn record_hook_runs(
        &self,
        runs: Vec<(Generation, HookRun)>,
        deliveries: Vec<HookDelivery>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        // In the order of their ids, so that writers that meet queue for the sessions' rows instead of deadlocking.
        let mut of_session: BTreeMap<SessionId, Vec<(Generation, HookRun)>> = BTreeMap::new();
        for (by, run) in runs {
            of_session.entry(run.session_id).or_default().push((by, run));
        }
        let mut reads = self.batch();
        let of_session: Vec<_> =
            of_session.into_iter().map(|(session, runs)| (lock(&mut reads, session), runs)).collect();
        let wanted: BTreeSet<Uuid> = deliveries.iter().map(|delivery| delivery.endpoint_id.0).collect();
        let known = hook_endpoint::Entity::find().filter(hook_endpoint::Column::Id.is_in(wanted));
        let known = reads.select(known);
        let tells =
            of_session.iter().flat_map(|(_, runs)| runs).any(|(_, run)| audited::hook_run(run).is_some());
        let head = tells.then(|| audit::lock_head(&mut reads));
        let (mut read, unit) = self.open(reads).await?;
        let mut writes = self.batch();
        let (mut events, mut told) = (Vec::new(), Vec::new());
        for (session, runs) in of_session {
            if let Some(session) = locked(&mut read, session)? {
                let present = runs.into_iter().filter(|(by, _)| *by == session.generation);
                let runs: Vec<HookRun> = present.map(|(_, run)| run).collect();
                if runs.is_empty() {
                    continue;
                }
                told.extend(runs.iter().filter_map(audited::hook_run));
                events.extend(record(&mut writes, &session, runs, at)?);
            }
        }
        // Those to an endpoint that was deleted meanwhile have nowhere to go.
        let known: BTreeSet<Uuid> = read.all(known)?.into_iter().map(|endpoint| endpoint.id).collect();
        let deliveries = deliveries.into_iter().filter(|delivery| known.contains(&delivery.endpoint_id.0));
        let rows = deliveries.map(|delivery| hook_delivery::Model::from(delivery).into());
        writes.insert_all::<hook_delivery::ActiveModel>(rows.collect());
        if let Some(head) = head {
            let head = audit::head(&mut read, head)?;
            self.chain(&mut writes, head, told)?;
        }
        unit.commit(writes).await?;
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
        try_map(read_page(&self.read, rows, &list, Counting::No, page).await?, HookRun::try_from)
    }
}

fn record(
    writes: &mut Batch,
    session: &Locked,
    runs: Vec<HookRun>,
    at: Timestamp,
) -> StoreResult<Vec<Event>> {
    let mut recording = Recording::new(session, None, at)?;
    for run in runs.iter().filter(|run| run.is_notable) {
        recording.turn = run.turn_id;
        recording.data(EventKind::HookExecuted, data::hook_executed(run));
    }
    let count = stored(runs.len());
    let rows = runs.into_iter().map(|run| hook_run::Model::from(run).into());
    writes.insert_all::<hook_run::ActiveModel>(rows.collect());
    let (update, events) = recording.write(writes, session::ActiveModel::default());
    let executions = session::Column::HookExecutionCount;
    writes.run(update.statement().col_expr(executions, executions.into_expr().add(count)));
    Ok(events)
}
