//! How somebody sets a budget: with its entry in the audit log, and what it makes to be told.

use super::{
    account::{self, key, this},
    tell::tell,
};
use crate::{
    Store, audit,
    entity::{
        budget::{self, Column as B},
        session, spend,
    },
};
use domain::{
    Budget, BudgetStatus, Expected, MicroUsd, Origin, Spender, UserId,
    audit::events,
    budget::{Account, Settlement},
    ports::StoreResult,
};
use jiff::Timestamp;
use sea_orm::{
    EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::{LockType, OnConflict},
};

pub(super) async fn set(
    store: &Store,
    account: &Account,
    own: Option<Budget>,
    expected: &Expected,
    at: Timestamp,
    origin: &Origin,
) -> StoreResult<Settlement> {
    let mut reads = store.batch();
    let session = match account.spender {
        Spender::Session(id) => {
            Some(reads.select(session::Entity::find_by_id(id.0).lock(LockType::NoKeyUpdate)))
        }
        Spender::User(_) | Spender::Team(_) => None,
    };
    account::lock(&mut reads, std::slice::from_ref(account));
    let its = account::of_spenders(std::slice::from_ref(account));
    let before = reads.select(budget::Entity::find().filter(its.clone()));
    let spent = reads.select(spend::Entity::find().filter(this(account)));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let before = read.first(before)?.map(<(Spender, Budget)>::try_from).transpose()?;
    expected.admit(&before.map(|(_, budget)| budget))?;
    let owner = match session {
        Some(session) => read.first(session)?.map(|row| UserId(row.user_id)),
        None => None,
    };
    let spent = read.first(spent)?.unwrap_or_else(|| spend::Model::nothing(account));
    let head = audit::head(&mut read, head)?;

    let mut writes = store.batch();
    match own {
        Some(own) => {
            let row = budget::Model::new(&account.spender, own).into_active_model();
            let mut known = OnConflict::columns([B::SpenderKind, B::SpenderKey]);
            known.update_columns([B::LimitMicroUsd, B::WhenExhausted]);
            writes.run(budget::Entity::insert(row).on_conflict(known));
        }
        None => {
            writes.run(budget::Entity::delete_many().filter(its));
        }
    }
    let status = BudgetStatus {
        spender: account.spender.clone(),
        period: account.period.clone(),
        budget: own.or(account.default),
        is_own: own.is_some(),
        spent: MicroUsd(spent.spent_micro_usd),
        held: MicroUsd::ZERO,
    };
    let alerts = tell(&mut writes, &key(account), spent.told_percent, &status, owner, at)?;
    store.chain(&mut writes, head, [events::budget_set(&account.spender, own, origin, at)])?;
    unit.commit(writes).await?;
    Ok(Settlement { alerts })
}
