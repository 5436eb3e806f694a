//! How a request is booked on its session, its turn and its accounts, and how its hold ends: one unit.
//!
//! A hold that was settled for a server that was gone stays for a while, holding nothing: whoever knows the whole after
//! all finds by it what to correct, and on which accounts.

mod found;

use crate::{
    Store,
    entity::{
        hold::{self, Column as H},
        hold_account::{self, Column as A},
        request_usage, server,
    },
    error::failure,
    unit::{Batch, Shape},
    value::{micros, stored},
};
use domain::{
    RequestUsage, ServerId,
    budget::Settlement,
    ports::{StoreError, StoreResult},
};
use found::find;
use jiff::{SignedDuration, Timestamp};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, ExprTrait, LockType, SelectStatement},
};

/// Holds that are looked for at once; those that are left over are found the next time.
const LOST_MAX: u64 = 1_000;
/// How long the whole of a request may come after its hold was lost. Those who know it try for minutes.
const LATE_MAX: SignedDuration = SignedDuration::from_hours(24);

pub(super) async fn settle(store: &Store, usage: &RequestUsage) -> StoreResult<Settlement> {
    let row = request_usage::Model::from(usage);
    let its_hold = |reads: &mut Batch| {
        let hold = || lock(hold::Entity::find_by_id(row.id));
        reads.select_known(Shape::named("a hold to settle"), [row.id.into()], hold)
    };
    let (found, unit) = find(store, its_hold, row.id, row.session_id, row.turn_id).await?;
    let mut writes = store.batch();
    let more = match (&found.hold, &found.booked) {
        (_, None) => {
            found.book(&mut writes, &row);
            row.cost_micro_usd
        }
        // What was booked of a lost hold is corrected, once.
        (Some(hold), Some(before)) if hold.is_lost => {
            found.correct(&mut writes, &row, before);
            row.cost_micro_usd.saturating_sub(before.cost_micro_usd)
        }
        (Some(_), Some(_)) => 0,
        (None, Some(_)) => return Ok(Settlement::default()),
    };
    let settled = |id| hold::Entity::delete_many().filter(H::Id.eq(id));
    writes.run_known(Shape::named("a settled hold"), row.id, settled, |id| vec![id.into()]);
    let alerts = found.spend(&mut writes, more, usage.user_id, ended_at(usage))?;
    match unit.commit(writes).await {
        Ok(_) => Ok(Settlement { alerts }),
        // Booked at this very moment by somebody else, with whom nothing made it wait: no hold, no session.
        Err(StoreError::Conflict { .. }) => Ok(Settlement::default()),
        Err(error) => Err(error),
    }
}

pub(super) async fn settle_lost(
    store: &Store,
    server: ServerId,
    since: Timestamp,
    at: Timestamp,
) -> StoreResult<u64> {
    let is_lost = is_lost(store, server, since);
    let lost = hold::Entity::find().filter(is_lost.clone()).order_by_asc(H::Id).limit(LOST_MAX);
    let mut settled = 0;
    for hold in lost.all(&store.read).await.map_err(failure)? {
        // Asked again with the lock on it: it may have been settled, or its server have come back.
        let still = hold::Entity::find_by_id(hold.id).filter(is_lost.clone());
        settled += u64::from(lose(store, still, &hold, at).await?);
    }
    let kept = micros(at.saturating_sub(LATE_MAX).unwrap_or(Timestamp::MIN));
    let over = hold::Entity::delete_many().filter(H::IsLost.eq(true)).filter(H::StartedAt.lt(kept));
    store.write_one(over).await?;
    Ok(settled)
}

/// Holds whose server's lease is over, and those of an earlier life of this one.
fn is_lost(store: &Store, server: ServerId, since: Timestamp) -> Condition {
    let its = Expr::col((server::Entity, server::Column::Id)).equals((hold::Entity, H::ServerId));
    let lives = store.living().select_only().expr(Expr::val(1)).filter(its).into_query();
    let is_gone = H::ServerId.ne(server.0).and(Expr::exists(lives).not());
    let is_earlier = H::ServerId.eq(server.0).and(H::StartedAt.lt(micros(since)));
    Condition::all().add(H::IsLost.eq(false)).add(is_earlier.or(is_gone))
}

/// Settles a hold by what was seen of its request, if it is still to be.
async fn lose(
    store: &Store,
    still: Select<hold::Entity>,
    known: &hold::Model,
    at: Timestamp,
) -> StoreResult<bool> {
    let still = |reads: &mut Batch| reads.select_built(&lock(still));
    let (mut found, unit) = find(store, still, known.id, Some(known.session_id), known.turn_id).await?;
    let Some(hold) = found.hold.take() else { return Ok(false) };
    let mut writes = store.batch();
    let changes = hold::ActiveModel { is_lost: Set(true), ..Default::default() };
    writes.run(hold::Entity::update_many().set(changes).filter(H::Id.eq(hold.id)));
    let nothing = hold_account::ActiveModel { amount_micro_usd: Set(0), ..Default::default() };
    writes.run(hold_account::Entity::update_many().set(nothing).filter(A::HoldId.eq(hold.id)));
    if let (Some(seen), None) = (hold.lost()?, &found.booked) {
        let row = request_usage::Model::from(&seen);
        found.book(&mut writes, &row);
        found.spend(&mut writes, row.cost_micro_usd, seen.user_id, at)?;
    }
    unit.commit(writes).await?;
    Ok(true)
}

fn lock(hold: Select<hold::Entity>) -> SelectStatement {
    hold.lock(LockType::NoKeyUpdate).into_query()
}

/// When the request was over.
fn ended_at(usage: &RequestUsage) -> Timestamp {
    let took = SignedDuration::from_millis(stored(usage.duration_ms));
    usage.started_at.saturating_add(took).unwrap_or(usage.started_at)
}
