//! Tallies of attempts to log in.

use crate::{
    Store,
    entity::login_tally::{self, Column as L},
    unit::Batch,
    value::micros,
};
use domain::{
    login_throttle::{FORGOTTEN_AFTER, KNOWN_FOR, LoginAttempt, Tally},
    ports::StoreResult,
};
use jiff::{SignedDuration, Timestamp};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, LockType, OnConflict},
};

pub(crate) async fn admit(store: &Store, attempt: &LoginAttempt) -> StoreResult<SignedDuration> {
    let mut reads = store.batch();
    make_and_lock(&mut reads, attempt);
    let rows = reads.select(of(attempt));
    let (mut read, unit) = store.open(reads).await?;
    let tallies = tallies(attempt, read.all(rows)?)?;
    let wait = attempt.wait(&tallies);
    if !wait.is_zero() {
        return Ok(wait);
    }
    let counted = attempt.keys.iter().zip(tallies);
    let mut counted: Vec<_> =
        counted.map(|((key, _), tally)| (*key, Tally::counting(tally, attempt.at))).collect();
    // In the order in which rows are locked.
    counted.sort_by_key(|(key, _)| *key);
    let mut writes = store.batch();
    for (key, tally) in counted {
        let row: login_tally::ActiveModel = login_tally::Model::new(key, tally).into();
        let mut known = OnConflict::column(L::KeySha256);
        known.update_columns([L::Failures, L::LastAt]);
        writes.run(login_tally::Entity::insert(row).on_conflict(known));
    }
    unit.commit(writes).await?;
    Ok(SignedDuration::ZERO)
}

pub(crate) async fn succeeded(store: &Store, attempt: &LoginAttempt) -> StoreResult<()> {
    let mut reads = store.batch();
    let rows = reads.select(of(attempt));
    let (mut read, unit) = store.open(reads).await?;
    let tallies = tallies(attempt, read.all(rows)?)?;
    let mut writes = store.batch();
    for ((key, tallied), tally) in attempt.keys.iter().zip(tallies) {
        let Some(tally) = tally else { continue };
        let row: login_tally::ActiveModel =
            login_tally::Model::new(*key, tally.succeeded(*tallied, attempt.at)).into();
        let update = login_tally::Entity::update_many().set(row.reset_all());
        writes.run(update.filter(L::KeySha256.eq(key.to_vec())));
    }
    unit.commit(writes).await.map(drop)
}

pub(crate) async fn forget(store: &Store, now: Timestamp) -> StoreResult<u64> {
    let long_ago = |span| micros(now.saturating_sub(span).unwrap_or(now));
    let unknown = Condition::any().add(L::SucceededAt.is_null()).add(L::SucceededAt.lte(long_ago(KNOWN_FOR)));
    let over = L::LastAt.lte(long_ago(FORGOTTEN_AFTER));
    store.write_one(login_tally::Entity::delete_many().filter(over).filter(unknown)).await
}

/// Makes rows that count nothing for those of its keys that have none, and locks those that have: what is not there can
/// be locked by nobody, and each of many first attempts at once would be the first. They go again if it has to wait.
fn make_and_lock(batch: &mut Batch, attempt: &LoginAttempt) {
    let mut keys: Vec<_> = attempt.keys.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    let nothing = Tally { failures: 0, last_at: attempt.at, succeeded_at: None };
    let rows = keys.into_iter().map(|key| login_tally::Model::new(key, nothing).into());
    let rows: Vec<login_tally::ActiveModel> = rows.collect();
    // A row that is there is locked by this too and not written. Left alone it could be forgotten before it is read.
    let mut known = OnConflict::column(L::KeySha256);
    known.update_column(L::Failures).action_and_where(Expr::cust("FALSE"));
    batch.run(login_tally::Entity::insert_many(rows).on_conflict(known));
}

/// The rows of an attempt, locked in one order.
fn of(attempt: &LoginAttempt) -> Select<login_tally::Entity> {
    let keys = attempt.keys.iter().map(|(key, _)| key.to_vec());
    let rows = login_tally::Entity::find().filter(L::KeySha256.is_in(keys));
    rows.order_by_asc(L::KeySha256).lock(LockType::Update)
}

/// The tallies in the order of their keys.
fn tallies(attempt: &LoginAttempt, rows: Vec<login_tally::Model>) -> StoreResult<Vec<Option<Tally>>> {
    let row = |key: &[u8; 32]| rows.iter().find(|row| row.key_sha256 == key);
    attempt.keys.iter().map(|(key, _)| row(key).map(login_tally::Model::read).transpose()).collect()
}
