//! Archives: the port, and what is done in one statement.

mod hold;
mod release;

use crate::{
    Store,
    entity::{
        archive::{self, Column as C},
        server, session, turn,
    },
    error::failure,
    literal::Literal,
    sessions::of_session,
    unit::Batch,
    value::micros,
};
use async_trait::async_trait;
use domain::{
    Archive, ArchiveId, ArchivePlace, ArchiveStatus, Event, Generation, Operation, Origin, ServerId, Session,
    SessionId, SessionMode, SessionStatus, TurnStatus,
    archive::ArchiveContent,
    ports::{ArchiveObject, ArchiveOpened, Archives, RestoreOpened, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
    sea_query::{ExprTrait, SimpleExpr},
};

const OPEN: [&str; 2] = [ArchiveStatus::Pending.as_str(), ArchiveStatus::InProgress.as_str()];

#[async_trait]
impl Archives for Store {
    async fn open_archive(&self, archive: &Archive, origin: &Origin) -> StoreResult<ArchiveOpened> {
        hold::open_archive(self, archive, origin).await
    }

    async fn claim_archive(
        &self,
        archive: &Archive,
        server: ServerId,
        at: Timestamp,
    ) -> StoreResult<Option<Archive>> {
        let claimed = archive.clone().claimed(server, at);
        let changes = archive::ActiveModel { has_object: Set(true), ..changes(&claimed) };
        let as_known = archive::Entity::update_many()
            .set(changes)
            .filter(C::Id.eq(archive.id.0))
            .filter(C::Status.eq(archive.status.as_str()))
            .filter(C::Status.in_literals(OPEN))
            .filter(self.of_sessions_of(server))
            .filter(self.free_for(server))
            .filter(C::Attempt.eq(i64::from(archive.attempt)));
        Ok((self.write_one(as_known).await? == 1).then_some(claimed))
    }

    async fn postpone_archive(
        &self,
        claimed: &Archive,
        error: &str,
        due_at: Timestamp,
        at: Timestamp,
    ) -> StoreResult<bool> {
        let postponed = claimed.clone().postponed(error, due_at, at);
        let still_claimed = archive::Entity::update_many()
            .set(changes(&postponed))
            .filter(C::Id.eq(claimed.id.0))
            .filter(C::Status.eq(ArchiveStatus::InProgress.as_str()))
            .filter(C::Attempt.eq(i64::from(claimed.attempt)));
        Ok(self.write_one(still_claimed).await? == 1)
    }

    async fn complete_archive(
        &self,
        claimed: &Archive,
        content: &ArchiveContent,
        at: Timestamp,
    ) -> StoreResult<Option<(Archive, Event)>> {
        release::complete_archive(self, claimed, content, at).await
    }

    async fn fail_archive(
        &self,
        claimed: &Archive,
        error: &str,
        at: Timestamp,
    ) -> StoreResult<Option<(Archive, Event)>> {
        release::fail_archive(self, claimed, error, at).await
    }

    async fn latest_archive(&self, session: SessionId) -> StoreResult<Option<Archive>> {
        let newest = archive::Entity::find()
            .filter(C::SessionId.eq(session.0))
            .order_by_desc(C::CreatedAt)
            .order_by_desc(C::Id);
        newest.one(&self.read).await.map_err(failure)?.map(Archive::try_from).transpose()
    }

    async fn archive(&self, id: ArchiveId) -> StoreResult<Option<Archive>> {
        let row = archive::Entity::find_by_id(id.0).filter(C::SessionId.is_not_null());
        row.one(&self.read).await.map_err(failure)?.map(Archive::try_from).transpose()
    }

    async fn open_archives(&self, home: ServerId, now: Timestamp, limit: u32) -> StoreResult<Vec<Archive>> {
        let due = Condition::any()
            .add(C::Status.eq(ArchiveStatus::InProgress.as_str()))
            .add(C::DueAt.lte(micros(now)));
        let rows = archive::Entity::find()
            .filter(C::Status.in_literals(OPEN))
            .filter(self.of_sessions_of(home))
            .filter(self.free_for(home))
            .filter(due)
            .order_by_asc(C::CreatedAt)
            .order_by_asc(C::Id);
        self.archives(rows, limit).await
    }

    async fn open_restore(
        &self,
        session: SessionId,
        from: ArchiveId,
        home: ServerId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<RestoreOpened> {
        hold::open_restore(self, session, from, home, at, origin).await
    }

    async fn finish_restore(
        &self,
        session: SessionId,
        from: ArchiveId,
        by: Generation,
        working_directory: Option<&str>,
        at: Timestamp,
    ) -> StoreResult<Option<(Session, Vec<Event>)>> {
        release::finish_restore(self, session, from, by, working_directory, at).await
    }

    async fn fail_restore(
        &self,
        session: SessionId,
        from: ArchiveId,
        by: Generation,
        error: &str,
        at: Timestamp,
    ) -> StoreResult<Option<Event>> {
        release::fail_restore(self, session, from, by, error, at).await
    }

    async fn open_restores(&self, home: ServerId, limit: u32) -> StoreResult<Vec<Session>> {
        let rows = session::Entity::find()
            .filter(session::Column::Operation.eq(Operation::Restoring.as_str()))
            .filter(self.looked_after_by(home))
            .order_by_asc(session::Column::Id);
        self.sessions(rows, limit).await
    }

    async fn idle_sessions(
        &self,
        home: ServerId,
        before: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Session>> {
        use session::Column as S;
        let waiting = turn::Entity::find()
            .select_only()
            .column(turn::Column::SessionId)
            .filter(turn::Column::Status.eq_literal(TurnStatus::Queued.as_str()));
        // A terminated one has nothing on disk that would be worth it.
        let states = SessionStatus::predecessors(SessionStatus::Archived)
            .into_iter()
            .filter(|status| *status != SessionStatus::Terminated)
            .map(SessionStatus::as_str);
        let rows = session::Entity::find()
            // Along an index that counts sessions as well and so has their mode before their age.
            .filter(S::Status.is_in(states))
            .filter(S::Mode.is_in(SessionMode::ALL.map(SessionMode::as_str)))
            .filter(S::UpdatedAt.lte(micros(before)))
            .filter(S::CurrentTurnId.is_null())
            .filter(S::Operation.is_null())
            .filter(S::Id.not_in_subquery(waiting.into_query()))
            .filter(self.looked_after_by(home))
            .order_by_asc(S::UpdatedAt)
            .order_by_asc(S::Id);
        self.sessions(rows, limit).await
    }

    async fn expired_archives(&self, before: Timestamp, limit: u32) -> StoreResult<Vec<Archive>> {
        let rows = archive::Entity::find()
            .filter(C::Status.eq_literal(ArchiveStatus::Completed.as_str()))
            .filter(C::SessionId.is_not_null())
            .filter(C::RemovedAt.is_null())
            .filter(C::ArchivedAt.lte(micros(before)))
            .order_by_asc(C::ArchivedAt)
            .order_by_asc(C::Id);
        self.archives(rows, limit).await
    }

    async fn expire_archive(&self, id: ArchiveId, at: Timestamp) -> StoreResult<Option<Vec<Event>>> {
        release::expire_archive(self, id, at).await
    }

    async fn objects_to_delete(
        &self,
        server: ServerId,
        after: Option<ArchiveId>,
        limit: u32,
    ) -> StoreResult<Vec<ArchiveObject>> {
        let rows = useless()
            .apply_if(after, |rows, after| rows.filter(C::Id.gt(after.0)))
            .filter(C::Place.ne(ArchivePlace::Local.as_str()).or(C::ServerId.eq(server.0)))
            .order_by_asc(C::Id)
            .limit(u64::from(limit));
        let rows = rows.all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(archive::Model::object).collect()
    }

    async fn object_deleted(&self, id: ArchiveId) -> StoreResult<()> {
        let of_nobody = archive::Entity::delete_many().filter(C::Id.eq(id.0)).filter(C::SessionId.is_null());
        let mut writes = self.batch();
        set(&mut writes, id, archive::ActiveModel { has_object: Set(false), ..Default::default() });
        writes.run(of_nobody);
        self.write_whole(writes).await.map(drop)
    }

    async fn sessions_to_clean(&self, home: ServerId, limit: u32) -> StoreResult<Vec<Session>> {
        use session::Column as S;
        let holding = archive::Entity::find()
            .filter(C::HasFiles.eq_literal(true))
            .filter(C::Status.eq_literal(ArchiveStatus::Completed.as_str()));
        let its = holding.clone().select_only().column(C::SessionId).filter(C::SessionId.is_not_null());
        // Few archives hold files and many sessions are archived: said like this, SQLite has no index to begin with those.
        let others = SessionStatus::ALL.into_iter().filter(|status| *status != SessionStatus::Archived);
        let rows = session::Entity::find()
            .filter(S::Id.in_subquery(its.into_query()))
            .filter(S::ArchiveId.in_subquery(holding.select_only().column(C::Id).into_query()))
            .filter(S::Status.is_not_in(others.map(SessionStatus::as_str)))
            .filter(S::Operation.is_null())
            .filter(S::ServerId.eq(home.0).or(S::ServerId.is_null()))
            .order_by_asc(S::Id);
        self.sessions(rows, limit).await
    }

    async fn session_cleaned(&self, id: ArchiveId) -> StoreResult<()> {
        let mut writes = self.batch();
        set(&mut writes, id, archive::ActiveModel { has_files: Set(false), ..Default::default() });
        self.write_whole(writes).await.map(drop)
    }

    async fn local_archive_bytes(&self, server: ServerId) -> StoreResult<u64> {
        let sum = archive::Entity::find()
            .select_only()
            // The sum of big integers is more than one on PostgreSQL.
            .column_as(C::SizeBytes.sum().cast_as("bigint"), "bytes")
            .filter(C::Place.eq(ArchivePlace::Local.as_str()))
            .filter(C::ServerId.eq(server.0))
            .filter(C::HasObject.eq_literal(true))
            .into_model::<Sum>();
        let sum = sum.one(&self.read).await.map_err(failure)?;
        Ok(sum.and_then(|sum| sum.bytes).map_or(0, i64::unsigned_abs))
    }
}

/// Those whose objects are of no use to anybody. There is an index of them.
pub(crate) fn useless() -> Select<archive::Entity> {
    let is_useless = Condition::any()
        .add(C::Status.eq_literal(ArchiveStatus::Failed.as_str()))
        .add(C::RemovedAt.is_not_null())
        .add(C::SessionId.is_null());
    archive::Entity::find().filter(C::HasObject.eq_literal(true)).filter(is_useless)
}

impl Store {
    /// Archives of sessions that no other server looks after.
    fn of_sessions_of(&self, home: ServerId) -> SimpleExpr {
        of_session(C::SessionId, self.looked_after_by(home))
    }

    /// Archives that no other server that lives is at, or of sessions whose home this one is: while a home is gone all
    /// others look after its sessions, and one of them is enough.
    fn free_for(&self, server: ServerId) -> Condition {
        let living = self.living().select_only().column(server::Column::Id).into_query();
        Condition::any()
            .add(C::Status.ne(ArchiveStatus::InProgress.as_str()))
            .add(C::ServerId.is_null())
            .add(C::ServerId.eq(server.0))
            .add(C::ServerId.not_in_subquery(living))
            .add(of_session(C::SessionId, session::Column::ServerId.eq(server.0)))
    }

    async fn archives(&self, rows: Select<archive::Entity>, limit: u32) -> StoreResult<Vec<Archive>> {
        let rows = rows.limit(u64::from(limit)).all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(Archive::try_from).collect()
    }

    async fn sessions(&self, rows: Select<session::Entity>, limit: u32) -> StoreResult<Vec<Session>> {
        let rows = rows.limit(u64::from(limit)).all(&self.read).await.map_err(failure)?;
        rows.into_iter().map(Session::try_from).collect()
    }
}

#[derive(Debug, FromQueryResult)]
struct Sum {
    bytes: Option<i64>,
}

/// Changes one archive's row.
fn set(writes: &mut Batch, id: ArchiveId, changes: archive::ActiveModel) {
    writes.run(archive::Entity::update_many().set(changes).filter(C::Id.eq(id.0)));
}

/// What changes in an archive's life.
fn changes(archive: &Archive) -> archive::ActiveModel {
    let row = archive::Model::from(archive);
    archive::ActiveModel {
        status: Set(row.status),
        object_key: Set(row.object_key),
        server_id: Set(row.server_id),
        size_bytes: Set(row.size_bytes),
        sha256: Set(row.sha256),
        manifest_sha256: Set(row.manifest_sha256),
        file_count: Set(row.file_count),
        unpacked_bytes: Set(row.unpacked_bytes),
        excluded_count: Set(row.excluded_count),
        error_message: Set(row.error_message),
        attempt: Set(row.attempt),
        due_at: Set(row.due_at),
        updated_at: Set(row.updated_at),
        archived_at: Set(row.archived_at),
        removed_at: Set(row.removed_at),
        ..Default::default()
    }
}
