//! Accounts as the database has them: one row in `spend`, the spender's own budget if there is one, and the sum that is
//! held.

use crate::{
    entity::{
        budget::{self, Column as B},
        hold_account::{self, Column as A, budget_of},
        spend::{self, Column as S},
    },
    unit::{Batch, Rows, Shape, given, row},
    value::Reader,
};
use domain::{Budget, MicroUsd, budget::Account, ports::StoreResult};
use sea_orm::{
    Condition, EntityTrait, IntoActiveModel, Value,
    sea_query::{Expr, ExprTrait, Func, LockType, OnConflict, Order, Query, SelectStatement},
};

/// What an account is found by: kind and key of the spender, and the period.
pub(super) type Key = (String, String, String);

row! {
    /// An account as it is now.
    pub(super) struct AccountRow {
        spender_kind: String,
        spender_key: String,
        period: String,
        spent_micro_usd: i64,
        held_micro_usd: i64,
        limit_micro_usd: Option<i64>,
        when_exhausted: Option<String>,
    }
}

/// What is spent and held of an account.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    pub(super) spent: MicroUsd,
    pub(super) held: MicroUsd,
}

impl AccountRow {
    pub(super) fn key(&self) -> Key {
        (self.spender_kind.clone(), self.spender_key.clone(), self.period.clone())
    }

    pub(super) fn figures(&self) -> Figures {
        Figures { spent: MicroUsd(self.spent_micro_usd), held: MicroUsd(self.held_micro_usd) }
    }

    /// The budget that was set for the spender.
    pub(super) fn own(&self) -> StoreResult<Option<Budget>> {
        budget_of(Reader("budgets"), self.limit_micro_usd, self.when_exhausted.as_deref())
    }
}

pub(super) fn key(account: &Account) -> Key {
    (account.spender.kind().to_owned(), account.spender.key(), account.period.0.clone())
}

/// Makes rows for those of these accounts that have none, and takes the locks on all of them, in the order of their
/// keys: whoever meets waits, and nobody deadlocks.
pub(super) fn lock(batch: &mut Batch, accounts: &[Account]) {
    let mut rows: Vec<_> = accounts.iter().map(spend::Model::nothing).collect();
    rows.sort();
    let shape = |name| Shape::named(name).with_count(accounts.len());
    let missing = |rows: Vec<_>| {
        let nothing = OnConflict::new().do_nothing().to_owned();
        spend::Entity::insert_many(rows).on_conflict(nothing)
    };
    let rows: Vec<_> = rows.into_iter().map(IntoActiveModel::into_active_model).collect();
    let values = |rows: Vec<spend::ActiveModel>| rows.into_iter().flat_map(given).collect();
    batch.run_known(shape("accounts without a row"), rows, missing, values);
    let _locked: Rows<()> =
        batch.select_known(shape("accounts to lock"), keys(accounts), || locked(these(accounts)));
}

/// Reads these accounts, of which there is one at least, as far as they have rows.
pub(super) fn select(batch: &mut Batch, of: &[Account]) -> Rows<AccountRow> {
    let values = [0.into()].into_iter().chain(keys(of));
    batch.select_known(Shape::named("accounts").with_count(of.len()), values, || accounts(of))
}

/// The values by which [`these`] finds them.
fn keys(accounts: &[Account]) -> impl Iterator<Item = Value> {
    accounts.iter().flat_map(key_values)
}

/// The values by which [`this`] finds it.
pub(super) fn key_values(account: &Account) -> [Value; 3] {
    let (kind, key, period) = key(account);
    [kind.into(), key.into(), period.into()]
}

/// These rows, to be locked.
fn locked(which: Condition) -> SelectStatement {
    let mut rows = Query::select();
    rows.column((spend::Entity, S::Period)).from(spend::Entity).cond_where(which);
    in_order(&mut rows).lock_with_tables(LockType::NoKeyUpdate, [spend::Entity]).take()
}

pub(super) fn in_order(rows: &mut SelectStatement) -> &mut SelectStatement {
    for column in [S::SpenderKind, S::SpenderKey, S::Period] {
        rows.order_by((spend::Entity, column), Order::Asc);
    }
    rows
}

/// These accounts, as far as they have rows.
pub(super) fn accounts(accounts: &[Account]) -> SelectStatement {
    let columns = [S::SpenderKind, S::SpenderKey, S::Period, S::SpentMicroUsd];
    with_budgets()
        .columns(columns.map(|column| (spend::Entity, column)))
        .columns([B::LimitMicroUsd, B::WhenExhausted].map(|column| (budget::Entity, column)))
        .expr_as(held(), "held_micro_usd")
        .cond_where(these(accounts))
        .take()
}

/// Rows of `spend`, each beside its spender's own budget.
pub(super) fn with_budgets() -> SelectStatement {
    let same = |column: S, other: B| Expr::col((spend::Entity, column)).equals((budget::Entity, other));
    let own = same(S::SpenderKind, B::SpenderKind).and(same(S::SpenderKey, B::SpenderKey));
    Query::select().from(spend::Entity).left_join(budget::Entity, own).take()
}

/// What is held of the account that a row of `spend` is of.
pub(super) fn held() -> Expr {
    let same = |column: A, other: S| Expr::col((hold_account::Entity, column)).equals((spend::Entity, other));
    let sum = Expr::from(Func::sum(Expr::col((hold_account::Entity, A::AmountMicroUsd))));
    let held = Query::select()
        .expr(sum.if_null(0).cast_as("bigint"))
        .from(hold_account::Entity)
        .and_where(same(A::SpenderKind, S::SpenderKind))
        .and_where(same(A::SpenderKey, S::SpenderKey))
        .and_where(same(A::Period, S::Period))
        .take();
    Expr::from(held)
}

/// The rows of `spend` that are these accounts.
fn these(accounts: &[Account]) -> Condition {
    accounts.iter().map(this).fold(Condition::any(), Condition::add)
}

/// The row of `spend` that is this account.
pub(super) fn this(account: &Account) -> Condition {
    row(&key(account))
}

/// The row of `spend` of this key.
pub(super) fn row((kind, key, period): &Key) -> Condition {
    let is = |column: S, value: &str| Expr::col((spend::Entity, column)).eq(value);
    Condition::all().add(is(S::SpenderKind, kind)).add(is(S::SpenderKey, key)).add(is(S::Period, period))
}

/// The rows of `budgets` that are of these accounts' spenders.
pub(super) fn of_spenders(accounts: &[Account]) -> Condition {
    let is = |column: B, value: &str| Expr::col((budget::Entity, column)).eq(value);
    let of = |account: &Account| {
        let (kind, key) = (account.spender.kind(), account.spender.key());
        Condition::all().add(is(B::SpenderKind, kind)).add(is(B::SpenderKey, &key))
    };
    accounts.iter().map(of).fold(Condition::any(), Condition::add)
}
