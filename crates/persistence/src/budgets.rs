//! Budgets: what is spent stands in `spend`, what is held is the sum of `hold_accounts`.
//!
//! What decides about an account (a hold, a settlement, another budget) has the lock on its row in `spend`, and takes
//! several in the order of their keys. What only gives money back needs none.

mod account;
mod hold;
mod set;
mod settle;
mod standing;
mod tell;

pub(crate) use standing::Accounts;

use crate::{
    Store,
    entity::{budget, hold as row, hold::Column as H, spend},
    error::failure,
    unit::{FromRow, Row},
    value::Reader,
};
use account::{AccountRow, accounts, of_spenders};
use async_trait::async_trait;
use domain::{
    Expected, MicroUsd, Origin, RequestUsage, RequestUsageId, ServerId, UserId,
    budget::{Account, Budget, BudgetPeriod, BudgetStatus, Held, NewHold, Settlement, Spender},
    ports::{Budgets, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use standing::Standing;

/// Accounts that one statement asks for; SQLite takes a thousand conditions.
const ACCOUNTS_PER_SELECT: usize = 100;

#[async_trait]
impl Budgets for Store {
    async fn hold(&self, new: &NewHold) -> StoreResult<Held> {
        hold::hold(self, new).await
    }

    async fn note_seen(&self, seen: &RequestUsage) -> StoreResult<()> {
        let update = row::Entity::update_many()
            .col_expr(H::Seen, Expr::value(row::Model::seen(seen)?))
            .filter(H::Id.eq(seen.id.0))
            .filter(H::IsLost.eq(false));
        self.write_one(update).await.map(drop)
    }

    async fn settle(&self, usage: &RequestUsage) -> StoreResult<Settlement> {
        settle::settle(self, usage).await
    }

    async fn release(&self, id: RequestUsageId) -> StoreResult<()> {
        let held = row::Entity::delete_many().filter(H::Id.eq(id.0)).filter(H::IsLost.eq(false));
        self.write_one(held).await.map(drop)
    }

    async fn settle_lost(&self, server: ServerId, since: Timestamp, at: Timestamp) -> StoreResult<u64> {
        settle::settle_lost(self, server, since, at).await
    }

    async fn statuses(&self, accounts_of: &[Account]) -> StoreResult<Vec<BudgetStatus>> {
        let mut standing = Standing::default();
        for some in accounts_of.chunks(ACCOUNTS_PER_SELECT) {
            for row in self.read.query_all(&accounts(some)).await.map_err(failure)? {
                standing.add_row(&AccountRow::from_row(&Row::Orm(row)).map_err(failure)?)?;
            }
            // A row tells its spender's own budget as well. There is none before the first request.
            let without: Vec<_> = some.iter().filter(|account| !standing.has_row(account)).cloned().collect();
            if without.is_empty() {
                continue;
            }
            let budgets = budget::Entity::find().filter(of_spenders(&without));
            for row in budgets.all(&self.read).await.map_err(failure)? {
                standing.add_budget(row)?;
            }
        }
        Ok(accounts_of.iter().map(|account| standing.of(account)).collect())
    }

    async fn set_budget(
        &self,
        account: &Account,
        budget: Option<Budget>,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Settlement> {
        set::set(self, account, budget, expected, at, origin).await
    }

    async fn own_budgets(&self) -> StoreResult<Vec<(Spender, Budget)>> {
        let rows = budget::Entity::find().all(&self.read).await.map_err(failure)?;
        let mut budgets = rows.into_iter().map(TryInto::try_into).collect::<StoreResult<Vec<_>>>()?;
        budgets.sort_by(|(spender, _): &(Spender, Budget), (other, _)| spender.cmp(other));
        Ok(budgets)
    }

    async fn spending_users(&self, periods: &[BudgetPeriod]) -> StoreResult<Vec<(UserId, BudgetPeriod)>> {
        let rows = spend::Entity::find()
            .filter(spend::Column::SpenderKind.eq("user"))
            .filter(spend::Column::Period.is_in(periods.iter().map(|period| period.0.as_str())))
            .order_by_asc(spend::Column::Period)
            .order_by_asc(spend::Column::SpenderKey);
        let rows = rows.all(&self.read).await.map_err(failure)?;
        let user = |row: spend::Model| {
            let id = Reader("spend").word("spender_key", |key| key.parse().ok(), &row.spender_key)?;
            Ok((id, BudgetPeriod(row.period)))
        };
        rows.into_iter().map(user).collect()
    }

    async fn holds(&self) -> StoreResult<(u64, MicroUsd)> {
        let held = row::Entity::find()
            .select_only()
            .column_as(H::Id.count(), "holds")
            .column_as(H::AmountMicroUsd.sum().if_null(0).cast_as("bigint"), "amount")
            .filter(H::IsLost.eq(false))
            .into_tuple::<(i64, i64)>();
        let (holds, amount) = held.one(&self.read).await.map_err(failure)?.unwrap_or_default();
        Ok((holds.unsigned_abs(), MicroUsd(amount)))
    }
}
