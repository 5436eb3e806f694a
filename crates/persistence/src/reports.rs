//! Reports and their documents.

use crate::{
    Store, audit,
    entity::{
        report::{self, Column as C},
        report_document, session,
    },
    error::failure,
    owned::{count, has_room},
    page::{Counting, List, ListName, read_page, try_map},
    unit::row,
    value::Reader,
};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    Origin, Page, PageRequest, Report, ReportId, Scope,
    audit::events,
    ports::{Filed, Reports, StoreError, StoreResult},
    report::ReportFilter,
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QuerySelect, QueryTrait, prelude::Uuid,
    sea_query::LockType,
};

/// JSON shrinks to a fifth by this at hundreds of megabytes per second.
const ZSTD_LEVEL: i32 = 3;

#[async_trait]
impl Reports for Store {
    async fn create_report(
        &self,
        report: &Report,
        document: Bytes,
        owned_max: Option<u32>,
        origin: &Origin,
    ) -> StoreResult<Filed> {
        let packed = off_thread(move || zstd::bulk::compress(&document, ZSTD_LEVEL)).await?;
        let packed = packed.map_err(|error| StoreError::Failed(Box::new(error)))?;
        let mut reads = self.batch();
        let its_session = session::Entity::find()
            .select_only()
            .column(session::Column::Id)
            .filter(session::Column::Id.eq(report.session_id.0))
            .lock(LockType::KeyShare);
        let its_session = reads.select_as::<IdRow>(its_session);
        // Whoever adds another one waits for this lock, so that what is counted behind it stays true.
        let head = audit::lock_head(&mut reads);
        let theirs = report::Entity::find().filter(C::UserId.eq(report.user_id.0));
        let bound = owned_max.map(|max| (count(&mut reads, theirs), max));
        let (mut read, unit) = self.open(reads).await?;
        if read.first(its_session)?.is_none_or(|row| row.id != report.session_id.0) {
            return Ok(Filed::NoSession);
        }
        if let Some((count, max)) = bound
            && !has_room(&mut read, count, max)?
        {
            return Ok(Filed::Full);
        }
        let mut writes = self.batch();
        writes.insert::<report::ActiveModel>(report::Model::from(report).into());
        let document = report_document::Model { report_id: report.id.0, document: packed };
        writes.insert::<report_document::ActiveModel>(document.into());
        let head = audit::head(&mut read, head)?;
        self.chain(&mut writes, head, [events::report_created(report, origin)])?;
        unit.commit(writes).await?;
        Ok(Filed::Filed)
    }

    async fn report(&self, scope: Scope, id: ReportId) -> StoreResult<Option<Report>> {
        let row = report::Entity::find().filter(inside(scope)).filter(C::Id.eq(id.0));
        row.one(&self.read).await.map_err(failure)?.map(Report::try_from).transpose()
    }

    async fn report_document(&self, scope: Scope, id: ReportId) -> StoreResult<Option<(Report, Bytes)>> {
        let Some(report) = self.report(scope, id).await? else { return Ok(None) };
        let row = report_document::Entity::find_by_id(id.0).one(&self.read).await.map_err(failure)?;
        // Deleted just now.
        let Some(row) = row else { return Ok(None) };
        let damaged = || Reader("report_documents").inconsistent("document");
        let capacity = usize::try_from(report.size_bytes).map_err(|_| damaged())?;
        let document = off_thread(move || zstd::bulk::decompress(&row.document, capacity)).await?;
        Ok(Some((report, document.map_err(|_| damaged())?.into())))
    }

    async fn reports(
        &self,
        scope: Scope,
        filter: &ReportFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<Report>> {
        let list = List {
            name: ListName::Reports,
            key: C::CreatedAt,
            id: C::Id,
            order: Order::Desc,
            position: |row: &report::Model| (row.created_at, row.id),
        };
        let rows = report::Entity::find()
            .filter(inside(scope))
            .apply_if(filter.session_id, |rows, id| rows.filter(C::SessionId.eq(id.0)))
            .apply_if(filter.format, |rows, format| rows.filter(C::Format.eq(format.as_str())));
        try_map(read_page(&self.read, rows, &list, Counting::Bounded, page).await?, Report::try_from)
    }

    async fn delete_report(
        &self,
        scope: Scope,
        id: ReportId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut reads = self.batch();
        let found = report::Entity::find().filter(inside(scope)).filter(C::Id.eq(id.0));
        let row = reads.select(found.lock(LockType::Update));
        let (mut read, mut change) = self.change(reads).await?;
        let Some(row) = read.first(row)? else { return Ok(false) };
        // Its document goes with it.
        change.writes.run(report::Entity::delete_many().filter(C::Id.eq(id.0)));
        change.commit(self, [events::report_deleted(&row.try_into()?, origin, at)]).await?;
        Ok(true)
    }
}

row! {
    struct IdRow {
        id: Uuid,
    }
}

/// Packs or unpacks away from the threads that serve requests.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> StoreResult<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Failed(Box::new(error)))
}

fn inside(scope: Scope) -> Condition {
    match scope {
        Scope::All => Condition::all(),
        Scope::Owner(user) => Condition::all().add(C::UserId.eq(user.0)),
    }
}
