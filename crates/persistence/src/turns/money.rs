//! Sessions that a budget has paused, and how they go on.

use super::Queue;
use crate::{
    Store,
    entity::session::{self, Column as S},
    error::failure,
};
use domain::{Event, ServerId, SessionId, SessionStatus, UserId, ports::StoreResult, turn::NewTurn};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::Uuid};

pub(super) async fn paused(
    store: &Store,
    home: ServerId,
    limit: u32,
) -> StoreResult<Vec<(SessionId, UserId)>> {
    let rows = session::Entity::find()
        .select_only()
        .columns([S::Id, S::UserId])
        .filter(S::BudgetPausedAt.is_not_null())
        .filter(S::Operation.is_null())
        .filter(store.looked_after_by(home))
        .order_by_asc(S::BudgetPausedAt)
        .limit(u64::from(limit))
        .into_tuple::<(Uuid, Uuid)>();
    let rows = rows.all(&store.read).await.map_err(failure)?;
    Ok(rows.into_iter().map(|(session, user)| (SessionId(session), UserId(user))).collect())
}

pub(super) async fn go_on(store: &Store, new: &NewTurn) -> StoreResult<Vec<Event>> {
    let mut reads = store.batch();
    let queue = Queue::find(&mut reads, new.session_id);
    let is_paused = session::Entity::find_by_id(new.session_id.0)
        .filter(S::BudgetPausedAt.is_not_null())
        .filter(S::Status.eq(SessionStatus::Paused.as_str()))
        .filter(S::Operation.is_null());
    let is_paused = reads.select(is_paused);
    let (mut read, unit) = store.open(reads).await?;
    if read.first(is_paused)?.is_none() {
        return Ok(Vec::new());
    }
    let mut writes = store.batch();
    let events = queue.take_up(&mut read, &mut writes, new)?;
    unit.commit(writes).await?;
    Ok(events)
}
