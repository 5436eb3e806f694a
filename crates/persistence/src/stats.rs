//! How much there is of everything, from counters and indexes.

use crate::{
    Store,
    entity::{request_usage, session, session_count, user},
    error::failure,
    value::micros,
};
use async_trait::async_trait;
use domain::{
    MicroUsd, SessionStatus,
    ports::{ACTIVE, ServerStats, Stats, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::{Asterisk, Expr, ExprTrait, Func},
};

#[async_trait]
impl Stats for Store {
    async fn stats(&self, since: Timestamp, at: Timestamp) -> StoreResult<ServerStats> {
        let db = &self.read;
        // An account that was erased is disabled for good, and its address is nobody's.
        let erased = user::Column::Email.like("erased-%@invalid");
        let users = user::Entity::find().filter(erased.not());
        let active_users = users.clone().filter(user::Column::IsActive.eq(true));
        let in_states = |states: &[SessionStatus]| {
            let words = states.iter().map(|status| status.as_str());
            session::Entity::find().filter(session::Column::Status.is_in(words))
        };
        let created = session::Entity::find().filter(session::Column::CreatedAt.gte(micros(since)));
        let sessions: Vec<i64> = session_count::Entity::find()
            .select_only()
            .column(session_count::Column::Sessions)
            .into_tuple()
            .all(db)
            .await
            .map_err(failure)?;
        let cost = Expr::from(Func::sum(Expr::col(request_usage::Column::CostMicroUsd)));
        let spent = request_usage::Entity::find()
            .select_only()
            .column_as(Expr::from(Func::count(Expr::col(Asterisk))), "requests")
            .column_as(cost.if_null(0).cast_as("bigint"), "cost")
            .filter(request_usage::Column::StartedAt.gte(micros(since)))
            .into_model::<SpentRow>()
            .one(db)
            .await
            .map_err(failure)?;
        let spent = spent.unwrap_or(SpentRow { requests: 0, cost: 0 });
        Ok(ServerStats {
            users: users.count(db).await.map_err(failure)?,
            active_users: active_users.count(db).await.map_err(failure)?,
            sessions: sessions.into_iter().map(i64::unsigned_abs).sum(),
            active_sessions: in_states(&ACTIVE).count(db).await.map_err(failure)?,
            running_sessions: in_states(&SessionStatus::BUSY).count(db).await.map_err(failure)?,
            sessions_since: created.count(db).await.map_err(failure)?,
            requests_since: spent.requests.unsigned_abs(),
            cost_since: MicroUsd(spent.cost),
            since,
            at,
        })
    }
}

#[derive(Debug, FromQueryResult)]
struct SpentRow {
    requests: i64,
    cost: i64,
}
