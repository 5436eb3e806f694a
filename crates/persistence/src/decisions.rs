//! Decisions about tool calls, each stored, counted and journalled at once.

use crate::{
    Store, audit,
    entity::{
        permission_decision::{self, Column as C},
        session,
    },
    page::{Counting, List, ListName, read_page, try_map},
    recording::{Recording, lock, locked},
    value::{Reader, micros},
};
use async_trait::async_trait;
use domain::{
    DecisionFilter, Event, EventKind, Generation, Page, PageRequest, PermissionDecision, SessionId,
    audit::events,
    journal::data,
    ports::{Decisions, StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter, QueryTrait, Select, sea_query::ExprTrait};

#[async_trait]
impl Decisions for Store {
    async fn record_decision(&self, decision: &PermissionDecision, by: Generation) -> StoreResult<Event> {
        let mut reads = self.batch();
        let session = lock(&mut reads, decision.session_id);
        let audited = events::decision(decision).map(|event| (audit::lock_head(&mut reads), event));
        let (mut read, unit) = self.open(reads).await?;
        let Some(locked) = locked(&mut read, session)? else {
            return Err(StoreError::Inconsistent { table: "permission_decisions", column: "session_id" });
        };
        locked.admit(by)?;
        let mut writes = self.batch();
        let row = permission_decision::Model::from(decision);
        writes.insert::<permission_decision::ActiveModel>(row.into());
        let mut recording = Recording::new(&locked, decision.turn_id, decision.decided_at)?;
        recording.data(EventKind::PermissionDecision, data::permission_decision(decision));
        let (update, mut events) = recording.write(&mut writes, session::ActiveModel::default());
        let checks = session::Column::PermissionCheckCount;
        writes.run(update.statement().col_expr(checks, checks.into_expr().add(1)));
        if let Some((head, event)) = audited {
            let head = audit::head(&mut read, head)?;
            self.chain(&mut writes, head, [event])?;
        }
        unit.commit(writes).await?;
        events.pop().ok_or(Reader("journal").inconsistent("seq"))
    }

    async fn decisions(
        &self,
        session: SessionId,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>> {
        let rows = permission_decision::Entity::find()
            .filter(C::SessionId.eq(session.0))
            .apply_if(filter.decision, |rows, verdict| rows.filter(C::Verdict.eq(verdict.as_str())))
            .apply_if(filter.tool_name.as_deref(), |rows, name| rows.filter(C::ToolName.eq(name)));
        self.newest_first(ListName::Decisions, rows, page).await
    }

    async fn decisions_since(
        &self,
        since: Timestamp,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>> {
        let rows = permission_decision::Entity::find().filter(C::DecidedAt.gte(micros(since)));
        self.newest_first(ListName::DecisionsSince, rows, page).await
    }
}

impl Store {
    async fn newest_first(
        &self,
        name: ListName,
        rows: Select<permission_decision::Entity>,
        page: &PageRequest,
    ) -> StoreResult<Page<PermissionDecision>> {
        let list = List {
            name,
            key: C::DecidedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &permission_decision::Model| (row.decided_at, row.id),
        };
        try_map(read_page(&self.read, rows, &list, Counting::No, page).await?, PermissionDecision::try_from)
    }
}
