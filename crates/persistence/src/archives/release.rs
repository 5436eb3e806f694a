//! How archiving and restoring let a session go, and how an archive's time is up.

use super::{changes, set};
use crate::{
    Store, audit,
    entity::{
        archive::{self, Column as C},
        session,
    },
    literal::Literal,
    recording::{Locked, Recording, lock, lock_that, locked},
    sessions::{entered, updated},
    unit::Batch,
    value::{micros, to_json},
};
use domain::{
    Archive, ArchiveId, ArchiveStatus, AuditEvent, Event, EventKind, Generation, Operation, Session,
    SessionId, SessionStatus, archive::ArchiveContent, audit::events as audited, journal::data,
    ports::StoreResult,
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, sea_query::LockType,
};

pub(super) async fn complete_archive(
    store: &Store,
    claimed: &Archive,
    content: &ArchiveContent,
    at: Timestamp,
) -> StoreResult<Option<(Archive, Event)>> {
    let completed = claimed.clone().completed(content, at);
    let told = audited::archive_completed(&completed, content, at);
    end_archive(store, completed, claimed, told, |locked, recording, writes| {
        // What it had before is not what it has now.
        let older = archive::Entity::update_many()
            .set(archive::ActiveModel { removed_at: Set(Some(micros(at))), ..Default::default() })
            .filter(C::SessionId.eq(claimed.session_id.0))
            .filter(C::Id.ne(claimed.id.0))
            .filter(C::Status.eq_literal(ArchiveStatus::Completed.as_str()))
            .filter(C::RemovedAt.is_null());
        writes.run(older);
        let next = SessionStatus::Archived;
        recording.data(EventKind::StatusChange, data::status_change(locked.status, next));
        session::ActiveModel { archive_id: Set(Some(claimed.id.0)), ..entered(next, at) }
    })
    .await
}

pub(super) async fn fail_archive(
    store: &Store,
    claimed: &Archive,
    error: &str,
    at: Timestamp,
) -> StoreResult<Option<(Archive, Event)>> {
    let failed = claimed.clone().failed(error, at);
    let told = audited::archive_failed(&failed, at);
    end_archive(store, failed, claimed, told, |_, recording, _| {
        recording.data(EventKind::Notice, data::archive_failed(claimed, error));
        session::ActiveModel::default()
    })
    .await
}

/// Ends an attempt for good, if it is still the one that counts, and lets the session go.
async fn end_archive(
    store: &Store,
    ended: Archive,
    claimed: &Archive,
    told: AuditEvent,
    tell: impl FnOnce(&Locked, &mut Recording, &mut Batch) -> session::ActiveModel + Send,
) -> StoreResult<Option<(Archive, Event)>> {
    let mut reads = store.batch();
    let session = lock(&mut reads, claimed.session_id);
    let row = reads.select(archive::Entity::find_by_id(claimed.id.0).lock(LockType::NoKeyUpdate));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let Some(locked) = locked(&mut read, session)? else { return Ok(None) };
    let known = read.first(row)?.map(Archive::try_from).transpose()?;
    if !known.is_some_and(|known| known.is_claimed_as(claimed)) {
        return Ok(None);
    }
    let mut writes = store.batch();
    set(&mut writes, ended.id, changes(&ended));
    let mut recording = Recording::new(&locked, None, ended.updated_at)?;
    let session = tell(&locked, &mut recording, &mut writes);
    let let_go = session::ActiveModel { operation: Set(None), ..session };
    let (update, mut events) = recording.write(&mut writes, let_go);
    update.run(&mut writes);
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [told])?;
    unit.commit(writes).await?;
    Ok(events.pop().map(|event| (ended, event)))
}

pub(super) async fn finish_restore(
    store: &Store,
    id: SessionId,
    from: ArchiveId,
    by: Generation,
    working_directory: Option<&str>,
    at: Timestamp,
) -> StoreResult<Option<(Session, Vec<Event>)>> {
    let mut reads = store.batch();
    let session = lock(&mut reads, id);
    let whole = reads.select(session::Entity::find_by_id(id.0));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let Some(locked) = restoring(locked(&mut read, session)?, by)? else { return Ok(None) };
    let Some(whole) = read.first(whole)? else { return Ok(None) };
    let Session { mut spec, server_id, counters, .. } = Session::try_from(whole)?;
    if let (Some(path), Some(home)) = (working_directory, server_id) {
        path.clone_into(&mut spec.working_directory);
        spec.whereabouts.move_to(home, counters.messages);
    }
    let mut recording = Recording::new(&locked, None, at)?;
    recording.data(EventKind::Notice, data::restored(from));
    let changes = match locked.status {
        SessionStatus::Archived => {
            let next = SessionStatus::Active;
            recording.data(EventKind::StatusChange, data::status_change(locked.status, next));
            entered(next, at)
        }
        // It only lost what it had on disk.
        _ => session::ActiveModel::default(),
    };
    let mut writes = store.batch();
    let let_go = session::ActiveModel { operation: Set(None), spec: Set(to_json(&spec)?), ..changes };
    let (update, events) = recording.write(&mut writes, let_go);
    let session = update.returning(&mut writes);
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [audited::session_restored(id, from, at)])?;
    let session = updated(unit.commit(writes).await?, session)?;
    Ok(Some((session, events)))
}

pub(super) async fn fail_restore(
    store: &Store,
    id: SessionId,
    from: ArchiveId,
    by: Generation,
    error: &str,
    at: Timestamp,
) -> StoreResult<Option<Event>> {
    let mut reads = store.batch();
    let session = lock(&mut reads, id);
    let (mut read, unit) = store.open(reads).await?;
    let Some(locked) = restoring(locked(&mut read, session)?, by)? else { return Ok(None) };
    let mut recording = Recording::new(&locked, None, at)?;
    recording.data(EventKind::Notice, data::restore_failed(from, error));
    let mut writes = store.batch();
    let let_go = session::ActiveModel { operation: Set(None), ..Default::default() };
    let (update, mut events) = recording.write(&mut writes, let_go);
    update.run(&mut writes);
    unit.commit(writes).await?;
    Ok(events.pop())
}

/// The session, if it is held for that, and by this one.
fn restoring(locked: Option<Locked>, by: Generation) -> StoreResult<Option<Locked>> {
    let Some(locked) = locked.filter(|locked| locked.operation == Some(Operation::Restoring)) else {
        return Ok(None);
    };
    locked.admit(by)?;
    Ok(Some(locked))
}

pub(super) async fn expire_archive(
    store: &Store,
    id: ArchiveId,
    at: Timestamp,
) -> StoreResult<Option<Vec<Event>>> {
    let mut reads = store.batch();
    let its = archive::Entity::find_by_id(id.0).select_only().column(C::SessionId).into_query();
    let session = lock_that(&mut reads, session::Column::Id.in_subquery(its));
    let row = reads.select(archive::Entity::find_by_id(id.0).lock(LockType::NoKeyUpdate));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let (Some(locked), Some(row)) = (locked(&mut read, session)?, read.first(row)?) else { return Ok(None) };
    let archive = Archive::try_from(row)?;
    if locked.operation.is_some() || !archive.is_restorable() {
        return Ok(None);
    }
    let archive = Archive { removed_at: Some(at), updated_at: at, ..archive };
    let mut recording = Recording::new(&locked, None, at)?;
    recording.data(EventKind::Notice, data::archive_expired(&archive));
    let changes = match locked.status {
        SessionStatus::Archived => {
            let next = SessionStatus::Terminated;
            recording.data(EventKind::StatusChange, data::status_change(locked.status, next));
            entered(next, at)
        }
        _ => session::ActiveModel::default(),
    };
    let mut writes = store.batch();
    set(&mut writes, id, super::changes(&archive));
    let forgotten = session::ActiveModel { archive_id: Set(None), ..changes };
    let (update, events) = recording.write(&mut writes, forgotten);
    update.run(&mut writes);
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [audited::archive_expired(&archive, at)])?;
    unit.commit(writes).await?;
    Ok(Some(events))
}
