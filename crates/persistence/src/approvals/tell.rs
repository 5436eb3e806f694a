//! How an agent learns of a decision, once.

use super::{oldest_first, untold};
use crate::{
    Store,
    entity::approval::{self, Column as C},
    error::failure,
    turns::enqueue_in,
    value::micros,
};
use domain::{Approval, ApprovalId, Event, SessionId, TurnId, ports::StoreResult, turn::NewTurn};
use jiff::Timestamp;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

pub(super) async fn deliver(store: &Store, id: ApprovalId, at: Timestamp) -> StoreResult<bool> {
    let changes = approval::ActiveModel { delivered_at: Set(Some(micros(at))), ..Default::default() };
    let update =
        approval::Entity::update_many().set(changes).filter(C::Id.eq(id.0)).filter(C::DeliveredAt.is_null());
    Ok(update.exec(&store.write).await.map_err(failure)?.rows_affected > 0)
}

pub(super) async fn tell(
    store: &Store,
    session: SessionId,
    turn: TurnId,
    at: Timestamp,
) -> StoreResult<Vec<Approval>> {
    let txn = store.begin_writing().await?;
    let rows = untold().filter(C::SessionId.eq(session.0)).filter(C::TurnId.ne(turn.0));
    let rows = oldest_first(rows).all(&txn).await.map_err(failure)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let update = approval::Entity::update_many()
        .set(told(turn, at))
        .filter(C::Id.is_in(rows.iter().map(|row| row.id)));
    update.exec(&txn).await.map_err(failure)?;
    txn.commit().await.map_err(failure)?;
    let told = rows.into_iter().map(|row| {
        let approval = Approval::try_from(row)?;
        Ok(Approval { told_in: Some(turn), delivered_at: Some(at), ..approval })
    });
    told.collect()
}

pub(super) async fn go_on(store: &Store, id: ApprovalId, new: &NewTurn) -> StoreResult<Option<Event>> {
    let txn = store.begin_writing().await?;
    let Some(event) = enqueue_in(&txn, new, u32::MAX).await? else { return Ok(None) };
    let update = approval::Entity::update_many()
        .set(told(new.id, new.at))
        .filter(C::Id.eq(id.0))
        .filter(C::DeliveredAt.is_null());
    if update.exec(&txn).await.map_err(failure)?.rows_affected == 0 {
        return Ok(None);
    }
    txn.commit().await.map_err(failure)?;
    Ok(Some(event))
}

pub(super) async fn use_up(store: &Store, id: ApprovalId, at: Timestamp) -> StoreResult<bool> {
    let changes = approval::ActiveModel { used_at: Set(Some(micros(at))), ..Default::default() };
    let update =
        approval::Entity::update_many().set(changes).filter(C::Id.eq(id.0)).filter(C::UsedAt.is_null());
    Ok(update.exec(&store.write).await.map_err(failure)?.rows_affected > 0)
}

fn told(turn: TurnId, at: Timestamp) -> approval::ActiveModel {
    approval::ActiveModel {
        told_in: Set(Some(turn.0)),
        delivered_at: Set(Some(micros(at))),
        ..Default::default()
    }
}
