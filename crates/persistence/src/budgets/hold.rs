//! How money is set aside: in every account or in none, in one trip.
//!
//! The statement that adds the hold asks every account itself, so nothing needs to be read before. It runs with the
//! locks on the accounts, and reads what was committed before them: of two holds one comes second, and sees the first.

use super::account::{self, AccountRow};
use crate::{
    Store,
    entity::{
        budget::{self, Column as B},
        hold::{self, Column as H},
        hold_account,
        spend::{self, Column as S},
    },
    unit::{Answers, Rows, Shape},
};
use domain::{
    WhenExhausted,
    budget::{Account, Exhausted, Held, NewHold},
    ports::{StoreError, StoreResult},
};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, Value,
    sea_query::{Expr, ExprTrait, Func},
};

pub(super) async fn hold(store: &Store, new: &NewHold) -> StoreResult<Held> {
    let mut unit = store.quick_batch();
    let accounts = &new.accounts;
    let shape = |name| Shape::named(name).with_count(accounts.len());
    if !accounts.is_empty() {
        account::lock(&mut unit, accounts);
    }
    let admitted = || accounts.iter().map(refuses).fold(Expr::value(true), |all, one| all.and(one.not()));
    let values: Vec<_> =
        [true.into()].into_iter().chain(accounts.iter().flat_map(values_of_refuses)).collect();
    unit.insert_if(shape("a hold"), &[hold::Model::from(new)], admitted, &values)?;
    let its: Vec<_> = accounts.iter().map(|account| hold_account::Model::new(new, account)).collect();
    let is_there = || {
        let row = hold::Entity::find_by_id(new.id.0).select_only().expr(Expr::val(1));
        Expr::exists(row.into_query())
    };
    unit.insert_if(shape("accounts of a new hold"), &its, is_there, &[1.into(), new.id.0.into()])?;

    let held = || hold::Entity::find_by_id(new.id.0).filter(H::IsLost.eq(false)).into_query();
    let values = [new.id.0.into(), false.into()];
    let held = unit.select_known::<hold::Model, _>(Shape::named("a hold that is not lost"), values, held);
    let rows = (!accounts.is_empty()).then(|| account::select(&mut unit, accounts));
    let mut answers = store.write_whole(unit).await?;
    match answers.first(held)? {
        Some(_) => Ok(Held::Admitted),
        None => refusal(accounts, &mut answers, rows),
    }
}

/// Whether this account is full: what is spent and held has reached its limit, and that refuses.
fn refuses(account: &Account) -> Expr {
    let default = account.default;
    let own_or =
        |column: B, default: Expr| Expr::from(Func::coalesce([Expr::col((budget::Entity, column)), default]));
    let limit = own_or(B::LimitMicroUsd, Expr::value(default.map(|budget| budget.limit.0)));
    let manner = own_or(B::WhenExhausted, Expr::value(default.map(|budget| budget.when_exhausted.as_str())));
    let used = Expr::col((spend::Entity, S::SpentMicroUsd)).add(account::held());
    // Without a limit neither is true nor false, which refuses nothing.
    let full = account::with_budgets()
        .expr(Expr::val(1))
        .cond_where(account::this(account))
        .and_where(manner.ne(WhenExhausted::Warn.as_str()))
        .and_where(used.gte(limit))
        .take();
    Expr::exists(full)
}

/// The values of [`refuses`], in its text's order.
fn values_of_refuses(account: &Account) -> Vec<Value> {
    let (limit, manner) = (
        account.default.map(|budget| budget.limit.0),
        account.default.map(|budget| budget.when_exhausted.as_str()),
    );
    let key = account::key_values(account);
    [1.into()]
        .into_iter()
        .chain(key)
        .chain([manner.into(), WhenExhausted::Warn.as_str().into(), 0.into(), limit.into()])
        .collect()
}

/// Why these accounts did not admit it: one without money rather than one to wait for.
fn refusal(accounts: &[Account], answers: &mut Answers, rows: Option<Rows<AccountRow>>) -> StoreResult<Held> {
    let rows = rows.map_or(Ok(Vec::new()), |rows| answers.all(rows))?;
    let mut waits = None;
    for account in accounts {
        let Some(row) = rows.iter().find(|row| row.key() == account::key(account)) else { continue };
        let Some(budget) = row.own()?.or(account.default) else { continue };
        let figures = row.figures();
        if budget.when_exhausted == WhenExhausted::Warn {
            continue;
        }
        if figures.spent >= budget.limit {
            let spender = account.spender.clone();
            return Ok(Held::Exhausted(Exhausted { spender, budget, spent: figures.spent }));
        }
        if figures.spent + figures.held >= budget.limit {
            waits = waits.or(Some(account));
        }
    }
    // If none of them is full any more, somebody has changed a budget in the middle: coming again will tell.
    let waits = waits.or(accounts.first());
    // Without accounts nothing refuses; then there was a hold of this id, and it was lost.
    let waits = waits.ok_or(StoreError::Conflict { what: "a lost hold of this id" })?;
    Ok(Held::Wait(waits.spender.clone()))
}
