//! How an approval begins and ends, with what that does to its session.

use crate::{
    Store, audit,
    entity::{
        approval::{self, Column as C},
        session,
    },
    recording::{Locked, Recording, lock, lock_that, locked},
    sessions::entered,
    unit::Batch,
};
use domain::{
    Approval, ApprovalDecision, ApprovalId, ApprovalStatus, Event, EventKind, Generation, Origin,
    SessionStatus,
    audit::events as audited,
    journal::data,
    ports::{Decided, StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, sea_query::LockType,
};

pub(super) async fn open(
    store: &Store,
    approval: &Approval,
    by: Generation,
) -> StoreResult<Option<Vec<Event>>> {
    let mut reads = store.batch();
    let session = lock(&mut reads, approval.session_id);
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let Some(locked) = locked(&mut read, session)? else { return Ok(None) };
    locked.admit(by)?;
    if locked.current_turn_id != Some(approval.turn_id.0) {
        return Ok(None);
    }
    let mut writes = store.batch();
    writes.insert::<approval::ActiveModel>(approval::Model::from(approval).into());
    let mut recording = Recording::new(&locked, Some(approval.turn_id), approval.created_at)?;
    recording.data(EventKind::ApprovalRequested, data::approval_requested(approval));
    let next = (locked.status == SessionStatus::Processing).then_some(SessionStatus::WaitingUser);
    let events = write(&mut writes, recording, &locked, next, approval.created_at);
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [audited::approval_requested(approval)])?;
    unit.commit(writes).await?;
    Ok(Some(events))
}

pub(super) async fn decide(
    store: &Store,
    id: ApprovalId,
    decision: &ApprovalDecision,
    origin: &Origin,
) -> StoreResult<Option<Decided>> {
    let mut reads = store.batch();
    // The session first: where several write, its lock keeps two decisions of one turn apart.
    let of = |column: C| approval::Entity::find_by_id(id.0).select_only().column(column).into_query();
    let session = lock_that(&mut reads, session::Column::Id.in_subquery(of(C::SessionId)));
    let row = reads.select(approval::Entity::find_by_id(id.0).lock(LockType::NoKeyUpdate));
    let other = approval::Entity::find()
        .filter(C::TurnId.in_subquery(of(C::TurnId)))
        .filter(C::Status.eq(ApprovalStatus::Pending.as_str()))
        .filter(C::Id.ne(id.0))
        .limit(1);
    let other = reads.select(other);
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let Some(row) = read.first(row)? else { return Ok(None) };
    let gone = StoreError::Inconsistent { table: "approvals", column: "session_id" };
    let locked = locked(&mut read, session)?.ok_or(gone)?;
    let approval = match Approval::try_from(row)?.decide(decision) {
        Ok(approval) => approval,
        Err(stands) => return Ok(Some(Decided::Stands(stands))),
    };
    let mut writes = store.batch();
    writes.run(approval::Entity::update_many().set(decided(&approval)).filter(C::Id.eq(id.0)));
    let mut recording = Recording::new(&locked, Some(approval.turn_id), decision.at)?;
    recording.data(EventKind::ApprovalDecided, data::approval_decided(&approval));
    let goes_on = locked.status == SessionStatus::WaitingUser
        && locked.current_turn_id == Some(approval.turn_id.0)
        && read.first(other)?.is_none();
    let next = goes_on.then_some(SessionStatus::Processing);
    let events = write(&mut writes, recording, &locked, next, decision.at);
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [audited::approval_decided(&approval, origin, decision.at)])?;
    unit.commit(writes).await?;
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

fn write(
    writes: &mut Batch,
    mut recording: Recording,
    locked: &Locked,
    next: Option<SessionStatus>,
    at: Timestamp,
) -> Vec<Event> {
    let changes = match next {
        Some(next) => {
            recording.data(EventKind::StatusChange, data::status_change(locked.status, next));
            entered(next, at)
        }
        None => session::ActiveModel::default(),
    };
    let (update, events) = recording.write(writes, changes);
    update.run(writes);
    events
}
