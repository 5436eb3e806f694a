//! The ledger: each request once, on its turn and session.

use crate::{
    Store,
    entity::{
        request_usage::{self, Column as C},
        session, turn,
    },
    page::{Counting, List, ListName, read_page, try_map},
    unit::{Batch, Shape},
    value::Spent,
};
use async_trait::async_trait;
use domain::{
    Page, PageRequest, RequestUsage, SessionId,
    ports::{Ledger, StoreResult},
};
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter, Value, prelude::Uuid, sea_query::ExprTrait};

#[async_trait]
impl Ledger for Store {
    async fn requests(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<RequestUsage>> {
        let list = List {
            name: ListName::Requests,
            key: C::StartedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &request_usage::Model| (row.started_at, row.id),
        };
        let rows = request_usage::Entity::find().filter(C::SessionId.eq(session.0));
        try_map(read_page(&self.read, rows, &list, Counting::No, page).await?, RequestUsage::try_from)
    }
}

pub(crate) fn add_to_session(writes: &mut Batch, session: Uuid, more: Spent) {
    use session::Column as S;
    let sum = |column: S, more: i64| column.into_expr().add(more);
    let update = |more: Spent| {
        session::Entity::update_many()
            .col_expr(S::CostMicroUsd, sum(S::CostMicroUsd, more.cost_micro_usd))
            .col_expr(S::InputTokens, sum(S::InputTokens, more.input))
            .col_expr(S::OutputTokens, sum(S::OutputTokens, more.output))
            .col_expr(S::CacheWrite5mTokens, sum(S::CacheWrite5mTokens, more.cache_write_5m))
            .col_expr(S::CacheWrite1hTokens, sum(S::CacheWrite1hTokens, more.cache_write_1h))
            .col_expr(S::CacheReadTokens, sum(S::CacheReadTokens, more.cache_read))
            .filter(S::Id.eq(session))
    };
    writes.run_known(Shape::named("what a session spent more"), more, update, |more| spent_by(more, session));
}

pub(crate) fn add_to_turn(writes: &mut Batch, turn: Uuid, more: Spent) {
    use turn::Column as T;
    let sum = |column: T, more: i64| column.into_expr().add(more);
    let update = |more: Spent| {
        turn::Entity::update_many()
            .col_expr(T::CostMicroUsd, sum(T::CostMicroUsd, more.cost_micro_usd))
            .col_expr(T::InputTokens, sum(T::InputTokens, more.input))
            .col_expr(T::OutputTokens, sum(T::OutputTokens, more.output))
            .col_expr(T::CacheWrite5mTokens, sum(T::CacheWrite5mTokens, more.cache_write_5m))
            .col_expr(T::CacheWrite1hTokens, sum(T::CacheWrite1hTokens, more.cache_write_1h))
            .col_expr(T::CacheReadTokens, sum(T::CacheReadTokens, more.cache_read))
            .filter(T::Id.eq(turn))
    };
    writes.run_known(Shape::named("what a turn spent more"), more, update, |more| spent_by(more, turn));
}

fn spent_by(more: Spent, id: Uuid) -> Vec<Value> {
    let Spent { cost_micro_usd, input, output, cache_write_5m, cache_write_1h, cache_read } = more;
    let more = [cost_micro_usd, input, output, cache_write_5m, cache_write_1h, cache_read];
    more.map(Value::from).into_iter().chain([id.into()]).collect()
}
