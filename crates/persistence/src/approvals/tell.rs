//! How an agent learns of a decision, once.

use super::{oldest_first, untold};
use crate::{
    Store,
    entity::{
        approval::{self, Column as C},
        session,
    },
    error::failure,
    recording::{lock, locked},
    sessions::of_session,
    turns::Queue,
    value::{micros, stored},
};
use domain::{
    Approval, ApprovalId, Event, Generation, SessionId, TurnId,
    ports::StoreResult,
    turn::{Enqueued, NewTurn, QueuePlace},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{LockType, SimpleExpr},
};

pub(super) async fn deliver(
    store: &Store,
    id: ApprovalId,
    by: Generation,
    at: Timestamp,
) -> StoreResult<bool> {
    let changes = approval::ActiveModel { delivered_at: Set(Some(micros(at))), ..Default::default() };
    let update = approval::Entity::update_many()
        .set(changes)
        .filter(C::Id.eq(id.0))
        .filter(C::DeliveredAt.is_null())
        .filter(in_generation(by));
    Ok(store.write_one(update).await? > 0)
}

pub(super) async fn tell(
    store: &Store,
    session: SessionId,
    by: Generation,
    turn: TurnId,
    at: Timestamp,
) -> StoreResult<Vec<Approval>> {
    let rows = oldest_first(untold().filter(C::SessionId.eq(session.0)).filter(C::TurnId.ne(turn.0)));
    // Mostly there is nothing to tell, and finding that out must not queue for the one writer.
    if rows.clone().one(&store.read).await.map_err(failure)?.is_none() {
        return Ok(Vec::new());
    }
    let mut reads = store.batch();
    let session = lock(&mut reads, session);
    let rows = reads.select(rows.lock(LockType::NoKeyUpdate));
    let (mut read, unit) = store.open(reads).await?;
    if let Some(session) = locked(&mut read, session)? {
        session.admit(by)?;
    }
    let rows = read.all(rows)?;
    let mut writes = store.batch();
    writes.run(
        approval::Entity::update_many()
            .set(told(turn, at))
            .filter(C::Id.is_in(rows.iter().map(|row| row.id))),
    );
    unit.commit(writes).await?;
    let told = rows.into_iter().map(|row| {
        let approval = Approval::try_from(row)?;
        Ok(Approval { told_in: Some(turn), delivered_at: Some(at), ..approval })
    });
    told.collect()
}

pub(super) async fn go_on(store: &Store, id: ApprovalId, new: &NewTurn) -> StoreResult<Option<Event>> {
    let mut reads = store.batch();
    let queue = Queue::find(&mut reads, new.session_id);
    let untold =
        approval::Entity::find_by_id(id.0).filter(C::DeliveredAt.is_null()).lock(LockType::NoKeyUpdate);
    let untold = reads.select(untold);
    let (mut read, unit) = store.open(reads).await?;
    if read.first(untold)?.is_none() {
        return Ok(None);
    }
    let mut writes = store.batch();
    let place = QueuePlace::Last { waiting_max: u32::MAX };
    let Enqueued::Queued { event, .. } = queue.put(&mut read, &mut writes, new, place, 0)? else {
        return Ok(None);
    };
    writes.run(approval::Entity::update_many().set(told(new.id, new.at)).filter(C::Id.eq(id.0)));
    unit.commit(writes).await?;
    Ok(Some(event))
}

pub(super) async fn use_up(
    store: &Store,
    id: ApprovalId,
    by: Generation,
    at: Timestamp,
) -> StoreResult<bool> {
    let changes = approval::ActiveModel { used_at: Set(Some(micros(at))), ..Default::default() };
    let update = approval::Entity::update_many()
        .set(changes)
        .filter(C::Id.eq(id.0))
        .filter(C::UsedAt.is_null())
        .filter(in_generation(by));
    Ok(store.write_one(update).await? > 0)
}

/// Whether who writes in this generation may write in the approval's session.
fn in_generation(by: Generation) -> SimpleExpr {
    of_session(C::SessionId, session::Column::Generation.eq(stored(by.0)))
}

fn told(turn: TurnId, at: Timestamp) -> approval::ActiveModel {
    approval::ActiveModel {
        told_in: Set(Some(turn.0)),
        delivered_at: Set(Some(micros(at))),
        ..Default::default()
    }
}
