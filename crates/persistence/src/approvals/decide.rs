//! How an approval begins and ends, with what that does to its session.

use crate::{
    Store,
    entity::{
        approval::{self, Column as C},
        session,
    },
    error::failure,
    recording::{Locked, Recording, lock},
    sessions::entered,
};
use domain::{
    Approval, ApprovalDecision, ApprovalId, ApprovalStatus, Event, EventKind, SessionId, SessionStatus,
    journal::data,
    ports::{Decided, StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
};

pub(super) async fn open(store: &Store, approval: &Approval) -> StoreResult<Option<Vec<Event>>> {
    let txn = store.begin_writing().await?;
    let Some(locked) = lock(&txn, approval.session_id).await? else { return Ok(None) };
    if locked.current_turn_id != Some(approval.turn_id.0) {
        return Ok(None);
    }
    let insert = approval::Entity::insert::<approval::ActiveModel>(approval::Model::from(approval).into());
    insert.exec_without_returning(&txn).await.map_err(failure)?;
    let mut recording = Recording::new(&locked, Some(approval.turn_id), approval.created_at)?;
    recording.data(EventKind::ApprovalRequested, data::approval_requested(approval));
    let next = (locked.status == SessionStatus::Processing).then_some(SessionStatus::WaitingUser);
    let events = write(&txn, recording, &locked, next, approval.created_at).await?;
    txn.commit().await.map_err(failure)?;
    Ok(Some(events))
}

pub(super) async fn decide(
    store: &Store,
    id: ApprovalId,
    decision: &ApprovalDecision,
) -> StoreResult<Option<Decided>> {
    let txn = store.begin_writing().await?;
    let row = approval::Entity::find_by_id(id.0).one(&txn).await.map_err(failure)?;
    let Some(row) = row else { return Ok(None) };
    let gone = StoreError::Inconsistent { table: "approvals", column: "session_id" };
    let locked = lock(&txn, SessionId(row.session_id)).await?.ok_or(gone)?;
    // Read again under the session's lock: where several write, another decision may have come in between.
    let row = approval::Entity::find_by_id(id.0).lock_exclusive().one(&txn).await.map_err(failure)?;
    let Some(row) = row else { return Ok(None) };
    let approval = match Approval::try_from(row)?.decide(decision) {
        Ok(approval) => approval,
        Err(stands) => return Ok(Some(Decided::Stands(stands))),
    };
    let update = approval::Entity::update_many().set(decided(&approval)).filter(C::Id.eq(id.0));
    update.exec(&txn).await.map_err(failure)?;

    let mut recording = Recording::new(&locked, Some(approval.turn_id), decision.at)?;
    recording.data(EventKind::ApprovalDecided, data::approval_decided(&approval));
    let goes_on = locked.status == SessionStatus::WaitingUser
        && locked.current_turn_id == Some(approval.turn_id.0)
        && !waits(&txn, &approval).await?;
    let next = goes_on.then_some(SessionStatus::Processing);
    let events = write(&txn, recording, &locked, next, decision.at).await?;
    txn.commit().await.map_err(failure)?;
    Ok(Some(Decided::Now(Box::new(approval), events)))
}

/// The columns that a decision writes.
fn decided(approval: &Approval) -> approval::ActiveModel {
    let row = approval::Model::from(approval);
    approval::ActiveModel {
        status: Set(row.status),
        decided_at: Set(row.decided_at),
        decided_by: Set(row.decided_by),
        decision_reason: Set(row.decision_reason),
        updated_input: Set(row.updated_input),
        remember: Set(row.remember),
        delivered_at: Set(row.delivered_at),
        ..Default::default()
    }
}

/// Whether another question of the same turn is still open.
async fn waits(txn: &DatabaseTransaction, approval: &Approval) -> StoreResult<bool> {
    let others = approval::Entity::find()
        .filter(C::SessionId.eq(approval.session_id.0))
        .filter(C::TurnId.eq(approval.turn_id.0))
        .filter(C::Status.eq(ApprovalStatus::Pending.as_str()));
    Ok(others.count(txn).await.map_err(failure)? > 0)
}

async fn write(
    txn: &DatabaseTransaction,
    mut recording: Recording,
    locked: &Locked,
    next: Option<SessionStatus>,
    at: Timestamp,
) -> StoreResult<Vec<Event>> {
    let changes = match next {
        Some(next) => {
            recording.data(EventKind::StatusChange, data::status_change(locked.status, next));
            entered(next, at)
        }
        None => session::ActiveModel::default(),
    };
    let (update, events) = recording.write(txn, changes).await?;
    update.exec(txn).await.map_err(failure)?;
    Ok(events)
}
