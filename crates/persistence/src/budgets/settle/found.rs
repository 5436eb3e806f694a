//! What a settlement is decided by, read with the locks on it, and what it writes of that.

use crate::{
    Store,
    budgets::{
        account::{self, Key, in_order},
        tell::tell,
    },
    entity::{
        budget::{self, Column as B},
        hold,
        hold_account::{self, Column as A, budget_of},
        request_usage, session,
        spend::{self, Column as S},
        turn,
    },
    ledger::{add_to_session, add_to_turn},
    unit::{Answers, Batch, Rows, Shape, Unit, row},
    value::{Reader, Spent},
};
use domain::{
    Alert, Budget, BudgetPeriod, BudgetStatus, MicroUsd, Spender, UserId,
    ports::{StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    QueryTrait, Value,
    prelude::Uuid,
    sea_query::{Expr, ExprTrait, LockType, Query, SelectStatement},
};
use std::collections::HashMap;

/// What a settlement is decided by, all of it locked.
pub(super) struct Found {
    pub(super) hold: Option<hold::Model>,
    /// As far as they are there.
    turn: Option<Uuid>,
    session: Option<Uuid>,
    pub(super) booked: Option<request_usage::Model>,
    accounts: Vec<HeldAccount>,
    own: HashMap<Spender, Budget>,
}

row! {
    /// An account of a hold.
    struct HeldAccount {
        spender_kind: String,
        spender_key: String,
        period: String,
        default_limit_micro_usd: Option<i64>,
        default_when_exhausted: Option<String>,
        spent_micro_usd: i64,
        told_percent: i64,
    }
}

row! {
    /// The id of a row that is there.
    struct Id {
        id: Uuid,
    }
}

/// Begins a unit with the locks on a hold and what hangs on it: the turn before the session, as where a turn ends, and
/// the accounts last.
pub(super) async fn find(
    store: &Store,
    hold: impl FnOnce(&mut Batch) -> Rows<hold::Model>,
    id: Uuid,
    session: Option<Uuid>,
    turn: Option<Uuid>,
) -> StoreResult<(Found, Unit)> {
    let mut reads = store.quick_batch();
    let hold = hold(&mut reads);
    let of_turn = Shape::named("a turn to lock by its id");
    let turn = turn.map(|turn| lock_row(&mut reads, of_turn, turn::Entity, turn::Column::Id, turn));
    let of_session = Shape::named("a session to lock by its id");
    let session =
        session.map(|id| lock_row(&mut reads, of_session, session::Entity, session::Column::Id, id));
    let booked = || request_usage::Entity::find_by_id(id).into_query();
    let booked = reads.select_known(Shape::named("a booked request"), [id.into()], booked);
    let accounts = || accounts_of(id);
    let accounts =
        reads.select_known::<HeldAccount, _>(Shape::named("accounts of a hold"), [id.into()], accounts);
    // After the locks: a budget that was changed meanwhile is the one that counts.
    let own = || budget::Entity::find().filter(spenders_of(id)).into_query();
    let own = reads.select_known::<budget::Model, _>(Shape::named("budgets of a hold"), [id.into()], own);
    let (mut read, unit) = store.open(reads).await?;
    let id_of = |read: &mut Answers, row: Option<Rows<Id>>| match row {
        Some(row) => Ok::<_, StoreError>(read.first(row)?.map(|row| row.id)),
        None => Ok(None),
    };
    let found = Found {
        hold: read.first(hold)?,
        turn: id_of(&mut read, turn)?,
        session: id_of(&mut read, session)?,
        booked: read.first(booked)?,
        accounts: read.all(accounts)?,
        own: read.all(own)?.into_iter().map(TryInto::try_into).collect::<StoreResult<_>>()?,
    };
    Ok((found, unit))
}

/// Locks the row of this id, if it is there.
fn lock_row<E: EntityTrait>(
    reads: &mut Batch,
    shape: Shape,
    table: E,
    id_column: E::Column,
    id: Uuid,
) -> Rows<Id> {
    let row = || {
        let mut row = Query::select();
        row.expr(id_column.into_expr()).from(table).and_where(id_column.eq(id));
        row.lock(LockType::NoKeyUpdate).take()
    };
    reads.select_known(shape, [id.into()], row)
}

/// The accounts of a hold, to be locked in the order in which everybody takes them.
fn accounts_of(id: Uuid) -> SelectStatement {
    let same = |column: S, other: A| Expr::col((spend::Entity, column)).equals((hold_account::Entity, other));
    let its = same(S::SpenderKind, A::SpenderKind)
        .and(same(S::SpenderKey, A::SpenderKey))
        .and(same(S::Period, A::Period));
    let columns = [S::SpenderKind, S::SpenderKey, S::Period, S::SpentMicroUsd, S::ToldPercent];
    let defaults = [A::DefaultLimitMicroUsd, A::DefaultWhenExhausted];
    let mut rows = Query::select();
    rows.columns(columns.map(|column| (spend::Entity, column)))
        .columns(defaults.map(|column| (hold_account::Entity, column)))
        .from(hold_account::Entity)
        .inner_join(spend::Entity, its)
        .and_where(Expr::col((hold_account::Entity, A::HoldId)).eq(id));
    in_order(&mut rows).lock_with_tables(LockType::NoKeyUpdate, [spend::Entity]).take()
}

/// The rows of `budgets` that are of a hold's spenders.
fn spenders_of(id: Uuid) -> Expr {
    let its = hold_account::Entity::find().select_only().columns([A::SpenderKind, A::SpenderKey]);
    let its = its.filter(A::HoldId.eq(id)).into_query();
    Expr::tuple([B::SpenderKind.into_expr(), B::SpenderKey.into_expr()]).in_subquery(its)
}

impl Found {
    /// Puts the request on record, on its session and turn. Of those that were removed it says nothing: what was spent
    /// stays on its owner's account.
    pub(super) fn book(&self, writes: &mut Batch, row: &request_usage::Model) {
        let row = request_usage::Model { session_id: self.session, turn_id: self.turn, ..row.clone() };
        let spent = row.spent();
        writes.insert::<request_usage::ActiveModel>(row.into());
        self.add(writes, spent);
    }

    /// Puts the whole of a request in the place of what was seen of it.
    pub(super) fn correct(
        &self,
        writes: &mut Batch,
        row: &request_usage::Model,
        before: &request_usage::Model,
    ) {
        let row =
            request_usage::Model { session_id: before.session_id, turn_id: before.turn_id, ..row.clone() };
        let more = row.spent().minus(before.spent());
        let same = request_usage::Column::Id.eq(row.id);
        let row = row.into_active_model().reset_all();
        writes.run(request_usage::Entity::update_many().set(row).filter(same));
        self.add(writes, more);
    }

    fn add(&self, writes: &mut Batch, spent: Spent) {
        if let Some(turn) = self.turn {
            add_to_turn(writes, turn, spent);
        }
        if let Some(session) = self.session {
            add_to_session(writes, session, spent);
        }
    }

    /// Adds to every account, and puts on record what is to be told of it.
    pub(super) fn spend(
        &self,
        writes: &mut Batch,
        more: i64,
        owner: UserId,
        at: Timestamp,
    ) -> StoreResult<Vec<Alert>> {
        // A session that is gone has no account any more.
        let is_there = |account: &&HeldAccount| self.session.is_some() || account.spender_kind != SESSION;
        let accounts: Vec<_> = self.accounts.iter().filter(is_there).collect();
        if more == 0 || accounts.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<Key> = accounts.iter().map(|account| account.key()).collect();
        let spent = |keys: Vec<Key>| {
            let all = keys.iter().map(account::row).fold(Condition::any(), Condition::add);
            let sum = Expr::col(S::SpentMicroUsd).add(more);
            spend::Entity::update_many().col_expr(S::SpentMicroUsd, sum).filter(all)
        };
        let values = |keys: Vec<Key>| {
            let keys = keys.into_iter().flat_map(|(kind, key, period)| [kind, key, period]);
            [more.into()].into_iter().chain(keys.map(Value::from)).collect()
        };
        let shape = Shape::named("what accounts spent more").with_count(keys.len());
        writes.run_known(shape, keys, spent, values);
        let mut alerts = Vec::new();
        for account in accounts {
            let status = account.after(more, &self.own)?;
            let told = tell(writes, &account.key(), account.told_percent, &status, Some(owner), at)?;
            alerts.extend(told);
        }
        Ok(alerts)
    }
}

const SESSION: &str = "session";

impl HeldAccount {
    fn key(&self) -> Key {
        (self.spender_kind.clone(), self.spender_key.clone(), self.period.clone())
    }

    /// How the account stands with so much more spent.
    fn after(&self, more: i64, own: &HashMap<Spender, Budget>) -> StoreResult<BudgetStatus> {
        let reader = Reader("hold_accounts");
        let spender = Spender::parse(&self.spender_kind, &self.spender_key);
        let spender = spender.ok_or(reader.inconsistent("spender_key"))?;
        let default =
            budget_of(reader, self.default_limit_micro_usd, self.default_when_exhausted.as_deref())?;
        let own = own.get(&spender).copied();
        Ok(BudgetStatus {
            spender,
            period: BudgetPeriod(self.period.clone()),
            budget: own.or(default),
            is_own: own.is_some(),
            spent: MicroUsd(self.spent_micro_usd.saturating_add(more)),
            held: MicroUsd::ZERO,
        })
    }
}
