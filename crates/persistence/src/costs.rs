//! Sums over the ledger, made by the database: what leaves it is as long as there are keys.

use crate::{
    Store,
    entity::{
        message,
        request_usage::{self, Column as C},
        session, tool_call, user,
    },
    error::failure,
    value::{Reader, Spent, micros},
};
use async_trait::async_trait;
use domain::{
    MicroUsd,
    cost::{Activity, CostKey, CostQuery, CostScope, CostSum},
    ports::{Costs, StoreResult},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
    QueryTrait, TryGetable,
    prelude::Uuid,
    sea_query::{Asterisk, Expr, ExprTrait, Func, Order, Query, SelectStatement},
};
use std::collections::HashMap;

const QUARTER_HOUR_MICROS: i64 = 15 * 60 * 1_000_000;
/// What the column is called that requests are told apart by.
const KEY: &str = "cost_key";

#[async_trait]
impl Costs for Store {
    async fn cost(&self, query: &CostQuery) -> StoreResult<CostSum> {
        let row = self.read.query_one(&sums(query)).await.map_err(failure)?;
        let sum = row.map(|row| SumRow::from_query_result(&row, "")).transpose().map_err(failure)?;
        sum.map_or(Ok(CostSum::default()), SumRow::read)
    }

    async fn costs_by(
        &self,
        query: &CostQuery,
        key: CostKey,
        limit: u32,
    ) -> StoreResult<Vec<(String, CostSum)>> {
        let by = |key: Expr| {
            let mut rows = sums(query);
            rows.expr_as(key, KEY).group_by_col(KEY);
            rows
        };
        let dearest = |mut rows: SelectStatement| {
            rows.order_by(COST, Order::Desc).order_by(KEY, Order::Asc);
            rows.limit(u64::from(limit)).take()
        };
        match key {
            CostKey::Model => self.sums_by(dearest(by(C::Model.into_expr())), |model: String| model).await,
            CostKey::Session => {
                let word = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
                self.sums_by(dearest(by(C::SessionId.into_expr())), word).await
            }
            CostKey::QuarterHour => {
                let mut rows = by(C::StartedAt.into_expr().div(QUARTER_HOUR_MICROS));
                rows.order_by(KEY, Order::Asc);
                self.sums_by(rows, |quarter: i64| quarter.to_string()).await
            }
            // By all that an answer called: as many as there are such lists, and not as there are requests.
            CostKey::Tool => {
                let lists = self.sums_by(by(C::Tools.into_expr().cast_as("text")), |tools: String| tools);
                shared(lists.await?, limit as usize)
            }
        }
    }

    async fn activity(&self, query: &CostQuery) -> StoreResult<Activity> {
        let sessions = Expr::from(Func::count_distinct(Expr::col(C::SessionId)));
        let sessions = Query::select().expr_as(sessions, COUNT).from(request_usage::Entity).take();
        let sessions = self.counted(sessions, of(query)).await?;
        let messages = beside(query, message::Entity, message::Column::SessionId, message::Column::CreatedAt);
        let calls =
            beside(query, tool_call::Entity, tool_call::Column::SessionId, tool_call::Column::CreatedAt);
        Ok(Activity {
            sessions,
            messages: self.counted(messages, Condition::all()).await?,
            tool_calls: self.counted(calls, Condition::all()).await?,
        })
    }
}

const COUNT: &str = "counted";

impl Store {
    async fn counted(&self, mut rows: SelectStatement, which: Condition) -> StoreResult<u64> {
        let row = self.read.query_one(rows.cond_where(which)).await.map_err(failure)?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get("", COUNT)).map_err(failure)?;
        Ok(count.unsigned_abs())
    }

    async fn sums_by<K: TryGetable>(
        &self,
        rows: SelectStatement,
        word: impl Fn(K) -> String,
    ) -> StoreResult<Vec<(String, CostSum)>> {
        let rows = self.read.query_all(&rows).await.map_err(failure)?;
        let sum = |row: &sea_orm::QueryResult| {
            let key = row.try_get("", KEY).map_err(failure)?;
            Ok((word(key), SumRow::from_query_result(row, "").map_err(failure)?.read()?))
        };
        rows.iter().map(sum).collect()
    }
}

/// The requests that a query is about.
fn of(query: &CostQuery) -> Condition {
    let within =
        Condition::all().add(C::StartedAt.gte(micros(query.from))).add(C::StartedAt.lt(micros(query.until)));
    match &query.scope {
        CostScope::All => within,
        CostScope::User(id) => within.add(C::UserId.eq(id.0)),
        CostScope::Session(id) => within.add(C::SessionId.eq(id.0)),
        CostScope::Team(team) => within.add(C::UserId.in_subquery(members(team))),
    }
}

fn members(team: &str) -> SelectStatement {
    let members = user::Entity::find().select_only().column(user::Column::Id);
    members.filter(user::Column::Team.eq(team)).into_query()
}

/// How many rows of this table the sessions of a query have in its time. Copies that a fork has of its parent's are
/// older than it is, and happened there.
fn beside<E: EntityTrait>(query: &CostQuery, table: E, its: E::Column, at: E::Column) -> SelectStatement {
    use session::Column as S;
    let its_session = Expr::col((session::Entity, S::Id)).equals((table, its));
    let at = || Expr::col((table, at));
    let mut rows = Query::select();
    rows.expr_as(Func::count(Expr::col(Asterisk)), COUNT)
        .from(session::Entity)
        .inner_join(table, its_session)
        .and_where(at().gte(micros(query.from)))
        .and_where(at().lt(micros(query.until)))
        .and_where(at().gte(Expr::col((session::Entity, S::CreatedAt))))
        // Whatever happens in a session touches it: those that rested all the time are passed over.
        .and_where(Expr::col((session::Entity, S::UpdatedAt)).gte(micros(query.from)))
        .and_where(Expr::col((session::Entity, S::CreatedAt)).lt(micros(query.until)));
    let session = |column: S| Expr::col((session::Entity, column));
    match &query.scope {
        CostScope::All => rows,
        CostScope::User(id) => rows.and_where(session(S::UserId).eq(id.0)).take(),
        CostScope::Session(id) => rows.and_where(session(S::Id).eq(id.0)).take(),
        CostScope::Team(team) => rows.and_where(session(S::UserId).in_subquery(members(team))).take(),
    }
}

const COST: &str = "cost";

/// The sums over the requests of a query.
fn sums(query: &CostQuery) -> SelectStatement {
    let sum = |of: Expr| Expr::from(Func::sum(of)).if_null(0).cast_as("bigint");
    let cost_if = |is_so: Expr| {
        let cost = Expr::case(is_so, C::CostMicroUsd.into_expr()).finally(0);
        sum(cost.into())
    };
    let mut rows = Query::select();
    rows.expr_as(Func::count(Expr::col(Asterisk)), "requests")
        .expr_as(sum(C::CostMicroUsd.into_expr()), COST)
        .expr_as(cost_if(C::IsEstimated.eq(true)), "estimated")
        .expr_as(cost_if(C::IsPriced.eq(false)), "unpriced");
    for (column, name) in [
        (C::InputTokens, "input"),
        (C::OutputTokens, "output"),
        (C::CacheWrite5mTokens, "cache_write_5m"),
        (C::CacheWrite1hTokens, "cache_write_1h"),
        (C::CacheReadTokens, "cache_read"),
        (C::ThinkingTokens, "thinking"),
    ] {
        rows.expr_as(sum(column.into_expr()), name);
    }
    rows.from(request_usage::Entity).cond_where(of(query)).take()
}

/// The sums of one key.
#[derive(Debug, FromQueryResult)]
struct SumRow {
    requests: i64,
    cost: i64,
    estimated: i64,
    unpriced: i64,
    input: i64,
    output: i64,
    cache_write_5m: i64,
    cache_write_1h: i64,
    cache_read: i64,
    thinking: i64,
}

impl SumRow {
    fn read(self) -> StoreResult<CostSum> {
        let reader = Reader("request_usage");
        let spent = Spent {
            input: self.input,
            output: self.output,
            cache_write_5m: self.cache_write_5m,
            cache_write_1h: self.cache_write_1h,
            cache_read: self.cache_read,
            cost_micro_usd: self.cost,
        };
        let (tokens, cost) = spent.read(reader)?;
        Ok(CostSum {
            requests: self.requests.unsigned_abs(),
            cost,
            tokens,
            thinking_tokens: reader.figure("thinking_tokens", self.thinking)?,
            estimated_cost: MicroUsd(self.estimated),
            unpriced_cost: MicroUsd(self.unpriced),
        })
    }
}

/// Shares the sum of each list of tools out to them; the dearest first.
fn shared(lists: Vec<(String, CostSum)>, limit: usize) -> StoreResult<Vec<(String, CostSum)>> {
    let mut sums: HashMap<String, CostSum> = HashMap::new();
    for (tools, sum) in lists {
        let tools: Vec<String> =
            serde_json::from_str(&tools).map_err(|_| Reader("request_usage").inconsistent("tools"))?;
        for (tool, share) in sum.shares(tools) {
            let sum = sums.entry(tool).or_default();
            *sum = sum.plus(share);
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|(tool, sum), (other_tool, other)| other.cost.cmp(&sum.cost).then(tool.cmp(other_tool)));
    sums.truncate(limit);
    Ok(sums)
}
