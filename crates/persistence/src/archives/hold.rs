//! How archiving and restoring begin to hold a session.

use super::OPEN;
use crate::{
    Store, audit,
    entity::{
        archive::{self, Column as C},
        session,
    },
    literal::Literal,
    recording::{Recording, lock, locked},
    servers::claimable,
    sessions::updated,
};
use domain::{
    Archive, ArchiveId, EventKind, Operation, Origin, ServerId, SessionId, SessionStatus,
    audit::events as audited,
    journal::data,
    ports::{ArchiveOpened, RestoreOpened, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

pub(super) async fn open_archive(
    store: &Store,
    archive: &Archive,
    origin: &Origin,
) -> StoreResult<ArchiveOpened> {
    let mut reads = store.batch();
    let session = lock(&mut reads, archive.session_id);
    let of_session = C::SessionId.eq(archive.session_id.0);
    let open = reads.select(archive::Entity::find().filter(of_session).filter(C::Status.in_literals(OPEN)));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let Some(locked) = locked(&mut read, session)? else { return Ok(ArchiveOpened::NoSession) };
    if let Some(open) = read.first(open)? {
        return Ok(ArchiveOpened::Open(Box::new(open.try_into()?)));
    }
    if let Some(operation) = locked.operation {
        return Ok(ArchiveOpened::Held(operation));
    }
    let may_be = locked.status.successors().contains(&SessionStatus::Archived);
    if !may_be || locked.current_turn_id.is_some() {
        return Ok(ArchiveOpened::Refused(locked.status));
    }
    let mut recording = Recording::new(&locked, None, archive.created_at)?;
    recording.data(EventKind::Notice, data::archive_opened(archive));
    let archive = Archive { at_message: recording.message_count(), ..archive.clone() };
    let held = Set(Some(Operation::Archiving.as_str().to_owned()));
    let mut writes = store.batch();
    writes.insert::<archive::ActiveModel>(archive::Model::from(&archive).into());
    let (update, mut events) =
        recording.write(&mut writes, session::ActiveModel { operation: held, ..Default::default() });
    update.run(&mut writes);
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [audited::archive_requested(&archive, origin)])?;
    unit.commit(writes).await?;
    Ok(match events.pop() {
        Some(event) => ArchiveOpened::Opened(Box::new(archive), event),
        None => ArchiveOpened::NoSession,
    })
}

pub(super) async fn open_restore(
    store: &Store,
    id: SessionId,
    from: ArchiveId,
    home: ServerId,
    at: Timestamp,
    origin: &Origin,
) -> StoreResult<RestoreOpened> {
    let mut reads = store.batch();
    let session = store.lock_for(&mut reads, id);
    let whole = reads.select(session::Entity::find_by_id(id.0));
    let archive = reads.select(archive::Entity::find_by_id(from.0).filter(C::SessionId.eq(id.0)));
    let head = audit::lock_head(&mut reads);
    let (mut read, unit) = store.open(reads).await?;
    let (Some(session), Some(whole)) = (claimable(&mut read, session)?, read.first(whole)?) else {
        return Ok(RestoreOpened::NoSession);
    };
    let locked = &session.locked;
    match locked.operation {
        Some(Operation::Restoring) => return Ok(RestoreOpened::Open(Box::new(whole.try_into()?))),
        Some(operation @ Operation::Archiving) => return Ok(RestoreOpened::Held(operation)),
        None => {}
    }
    let is_idle = !locked.status.is_busy() && locked.current_turn_id.is_none();
    if !is_idle || locked.status == SessionStatus::Terminated {
        return Ok(RestoreOpened::Refused(locked.status));
    }
    let claim = match locked.status {
        // It is nowhere but in its archive.
        SessionStatus::Archived => Some(session.move_to(home)),
        _ => session.claim(home),
    };
    let Some(claim) = claim else { return Ok(RestoreOpened::Elsewhere) };
    let archive = read.first(archive)?.map(Archive::try_from).transpose()?;
    if !archive.is_some_and(|archive| archive.is_restorable()) {
        return Ok(RestoreOpened::NoArchive);
    }
    let mut recording = Recording::new(locked, None, at)?;
    recording.data(EventKind::Notice, data::restore_opened(from));
    let held = Set(Some(Operation::Restoring.as_str().to_owned()));
    let mut writes = store.batch();
    let held = claim.mark(session::ActiveModel { operation: held, ..Default::default() });
    let (update, mut events) = recording.write(&mut writes, held);
    let session = update.returning(&mut writes);
    let head = audit::head(&mut read, head)?;
    store.chain(&mut writes, head, [audited::restore_requested(id, from, origin, at)])?;
    let session = updated(unit.commit(writes).await?, session)?;
    Ok(match events.pop() {
        Some(event) => RestoreOpened::Opened(Box::new(session), event),
        None => RestoreOpened::NoSession,
    })
}
