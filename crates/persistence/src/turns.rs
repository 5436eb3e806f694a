//! Turns: the port, and what only reads them.

mod begin;
mod end;
mod money;
mod waiting;

pub(crate) use begin::Queue;

use crate::{
    Store,
    entity::turn::{self, Column as C},
    error::failure,
    literal::Literal,
    page::{List, ListName, read_heavy_page, try_map},
    sessions::of_session,
};
use async_trait::async_trait;
use domain::{
    Event, Generation, Page, PageRequest, ServerId, SessionId, SessionStatus, Turn, TurnEnd, TurnId,
    TurnStatus, UserId,
    ports::{StoreResult, Turns},
    turn::{Begin, EndedTurn, Enqueued, NewTurn, QueuePlace, WaitingTurn},
};
use jiff::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select, prelude::Uuid};

#[async_trait]
impl Turns for Store {
    async fn begin(&self, turn: &NewTurn, first_status: SessionStatus, home: ServerId) -> StoreResult<Begin> {
        begin::begin(self, turn, first_status, home).await
    }

    async fn enqueue(&self, turn: &NewTurn, place: QueuePlace, ahead: u64) -> StoreResult<Enqueued> {
        begin::enqueue(self, turn, place, ahead).await
    }

    async fn begin_queued(
        &self,
        session: SessionId,
        first_status: SessionStatus,
        at: Timestamp,
        home: ServerId,
    ) -> StoreResult<Option<Begin>> {
        begin::begin_queued(self, session, first_status, at, home).await
    }

    async fn end(&self, id: TurnId, by: Generation, end: &TurnEnd) -> StoreResult<Option<EndedTurn>> {
        end::end(self, id, by, end).await
    }

    async fn cancel_queued(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        at: Timestamp,
    ) -> StoreResult<Vec<Event>> {
        end::cancel_queued(self, session, turn, at).await
    }

    async fn get(&self, session: SessionId, id: TurnId) -> StoreResult<Option<Turn>> {
        let row = turn::Entity::find_by_id(id.0).filter(C::SessionId.eq(session.0));
        row.one(&self.read).await.map_err(failure)?.map(Turn::try_from).transpose()
    }

    async fn list(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<Turn>> {
        let list = List {
            name: ListName::Turns,
            key: C::CreatedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &turn::Model| (row.created_at, row.id),
        };
        let rows = turn::Entity::find().filter(C::SessionId.eq(session.0));
        let heavy = [C::QueuedPrompt, C::Answer];
        try_map(read_heavy_page(&self.read, rows, &list, heavy, page).await?, Turn::try_from)
    }

    async fn running(&self, home: ServerId) -> StoreResult<Vec<Turn>> {
        let rows = turn::Entity::find()
            .filter(C::Status.eq_literal(TurnStatus::Running.as_str()))
            .filter(of_session(C::SessionId, self.looked_after_by(home)));
        let rows = oldest_first(rows).all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(Turn::try_from).collect()
    }

    async fn paused_by_budget(&self, home: ServerId, limit: u32) -> StoreResult<Vec<(SessionId, UserId)>> {
        money::paused(self, home, limit).await
    }

    async fn go_on_with_money(&self, turn: &NewTurn) -> StoreResult<Vec<Event>> {
        money::go_on(self, turn).await
    }

    async fn queue(&self, session: SessionId) -> StoreResult<Vec<TurnId>> {
        let ids = queued(session).select_only().column(C::Id).into_tuple::<Uuid>();
        Ok(ids.all(&self.read).await.map_err(failure)?.into_iter().map(TurnId).collect())
    }

    async fn waiting(&self, home: ServerId) -> StoreResult<Vec<WaitingTurn>> {
        waiting::next_of_each(self, home).await
    }
}

/// The queued turns of a session, the next one first.
fn queued(session: SessionId) -> Select<turn::Entity> {
    waiting(session).order_by_asc(C::QueueRank).order_by_asc(C::CreatedAt).order_by_asc(C::Id)
}

/// The queued turns of a session, in no order.
fn waiting(session: SessionId) -> Select<turn::Entity> {
    all_waiting().filter(C::SessionId.eq(session.0))
}

/// Every queued turn, in no order.
fn all_waiting() -> Select<turn::Entity> {
    turn::Entity::find().filter(C::Status.eq_literal(TurnStatus::Queued.as_str()))
}

fn oldest_first(rows: Select<turn::Entity>) -> Select<turn::Entity> {
    rows.order_by_asc(C::CreatedAt).order_by_asc(C::Id)
}
