//! The ledger: each request once, on its turn and session.

use crate::{
    Store,
    entity::{
        request_usage::{self, Column as C},
        session, turn,
    },
    page::{Counting, List, ListName, read_page, try_map},
    unit::{Batch, NotWritten},
};
use async_trait::async_trait;
use domain::{
    Page, PageRequest, RequestUsage, SessionId,
    ports::{Ledger, StoreResult},
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, Order, QueryFilter, SqlErr, sea_query::ExprTrait};

#[async_trait]
impl Ledger for Store {
    async fn book(&self, usage: &RequestUsage) -> StoreResult<()> {
        let row = request_usage::Model::from(usage);
        let mut writes = self.batch();
        writes.insert::<request_usage::ActiveModel>(row.clone().into());
        // The turn first, as where a turn ends: writers that meet wait for each other instead of deadlocking.
        add_to_turn(&mut writes, &row);
        add_to_session(&mut writes, &row);
        match self.try_whole(writes).await {
            Ok(_) => Ok(()),
            // Booked already; the unit failed as a whole, so nothing was added again.
            Err(NotWritten::Database(error)) if is_duplicate(&error) => Ok(()),
            // The session was removed meanwhile. What was spent stays on its owner's account.
            Err(NotWritten::Database(error)) if refers_to_nothing(&error) => {
                let mut writes = self.batch();
                let row = request_usage::Model { session_id: None, turn_id: None, ..row };
                writes.insert::<request_usage::ActiveModel>(row.into());
                self.write_whole(writes).await.map(drop)
            }
            Err(error) => Err(error.into_store_error()),
        }
    }

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

fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

fn refers_to_nothing(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_)))
}

fn add_to_session(writes: &mut Batch, row: &request_usage::Model) {
    use session::Column as S;
    let sum = |column: S, more: i64| column.into_expr().add(more);
    let update = session::Entity::update_many()
        .col_expr(S::CostMicroUsd, sum(S::CostMicroUsd, row.cost_micro_usd))
        .col_expr(S::InputTokens, sum(S::InputTokens, row.input_tokens))
        .col_expr(S::OutputTokens, sum(S::OutputTokens, row.output_tokens))
        .col_expr(S::CacheWrite5mTokens, sum(S::CacheWrite5mTokens, row.cache_write_5m_tokens))
        .col_expr(S::CacheWrite1hTokens, sum(S::CacheWrite1hTokens, row.cache_write_1h_tokens))
        .col_expr(S::CacheReadTokens, sum(S::CacheReadTokens, row.cache_read_tokens))
        .filter(S::Id.eq(row.session_id));
    writes.run(update);
}

fn add_to_turn(writes: &mut Batch, row: &request_usage::Model) {
    let Some(turn) = row.turn_id else { return };
    use turn::Column as T;
    let sum = |column: T, more: i64| column.into_expr().add(more);
    let update = turn::Entity::update_many()
        .col_expr(T::CostMicroUsd, sum(T::CostMicroUsd, row.cost_micro_usd))
        .col_expr(T::InputTokens, sum(T::InputTokens, row.input_tokens))
        .col_expr(T::OutputTokens, sum(T::OutputTokens, row.output_tokens))
        .col_expr(T::CacheWrite5mTokens, sum(T::CacheWrite5mTokens, row.cache_write_5m_tokens))
        .col_expr(T::CacheWrite1hTokens, sum(T::CacheWrite1hTokens, row.cache_write_1h_tokens))
        .col_expr(T::CacheReadTokens, sum(T::CacheReadTokens, row.cache_read_tokens))
        .filter(T::Id.eq(turn));
    writes.run(update);
}
