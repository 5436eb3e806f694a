//! Reports: made of a session as it is, kept as they were, and written down in whatever format somebody asks for.

mod document;
mod newest;
mod text;

use crate::{Error, Result, Stores, owned::REPORTS_MAX};
use bytes::Bytes;
use domain::{
    Caller, Clock, NewReport, Origin, Page, PageRequest, Report, ReportFormat, ReportId, Scope, Session,
    ports::{Costs, Filed, ReportRenderer, Reports, StoreError},
    report::{ReportDocument, ReportFilter},
};
use std::sync::Arc;

/// Makes reports and writes them down; cheap to clone.
#[derive(Clone)]
pub struct ReportManager {
    inner: Arc<Inner>,
}

struct Inner {
    stores: Stores,
    costs: Arc<dyn Costs>,
    reports: Arc<dyn Reports>,
    renderer: Arc<dyn ReportRenderer>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for ReportManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReportManager")
    }
}

impl ReportManager {
    /// Wires the manager up.
    #[must_use]
    pub fn new(
        stores: Stores,
        costs: Arc<dyn Costs>,
        reports: Arc<dyn Reports>,
        renderer: Arc<dyn ReportRenderer>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { inner: Arc::new(Inner { stores, costs, reports, renderer, clock }) }
    }

    /// Makes a report of one of the caller's sessions, in whatever state it is. It is the session's owner's.
    pub async fn create(&self, caller: &Caller, new: NewReport) -> Result<Report> {
        self.make(caller.scope(), ReportId::new(), new, Some(REPORTS_MAX), &caller.origin()).await
    }

    /// The report of this id, made now unless it is there: whoever asks again gets the same. For work that the server
    /// does by itself: `scope` says whose session it may be, `origin` who wants it. What bounds these is the work they are
    /// of, so nobody loses one for having many.
    pub async fn ensure(
        &self,
        scope: Scope,
        id: ReportId,
        new: NewReport,
        origin: &Origin,
    ) -> Result<Report> {
        if let Some(known) = self.inner.reports.report(scope, id).await? {
            return Ok(known);
        }
        match self.make(scope, id, new, None, origin).await {
            // Somebody else made it meanwhile.
            Err(Error::Store(StoreError::Conflict { .. })) => {
                self.inner.reports.report(scope, id).await?.ok_or(Error::NotFound("report"))
            }
            made => made,
        }
    }

    async fn make(
        &self,
        scope: Scope,
        id: ReportId,
        new: NewReport,
        owned_max: Option<u32>,
        origin: &Origin,
    ) -> Result<Report> {
        let inner = &self.inner;
        let session = inner.stores.sessions.get(scope, new.session_id).await?;
        let session = session.ok_or(Error::NotFound("session"))?;
        let document = self.document_of(&session, new.parts).await?;
        let report = recorded(id, &session, &document, new);
        // Off the threads that serve requests: it may be some megabytes.
        let text = tokio::task::spawn_blocking(move || serde_json::to_vec(&document)).await;
        let text = text.map_err(|_| UNWRITABLE)?.map_err(|_| UNWRITABLE)?;
        let report = Report { size_bytes: text.len() as u64, ..report };
        match inner.reports.create_report(&report, Bytes::from(text), owned_max, origin).await? {
            Filed::Filed => Ok(report),
            Filed::NoSession => Err(Error::NotFound("session")),
            Filed::Full => Err(Error::LimitReached { what: "reports", max: REPORTS_MAX }),
        }
    }

    /// One of the caller's reports.
    pub async fn report(&self, caller: &Caller, id: ReportId) -> Result<Report> {
        self.inner.reports.report(caller.scope(), id).await?.ok_or(Error::NotFound("report"))
    }

    /// The caller's reports, newest first.
    pub async fn reports(
        &self,
        caller: &Caller,
        filter: &ReportFilter,
        page: &PageRequest,
    ) -> Result<Page<Report>> {
        Ok(self.inner.reports.reports(caller.scope(), filter, page).await?)
    }

    /// A report as a file: in this format, or in the one it was made in.
    pub async fn download(
        &self,
        caller: &Caller,
        id: ReportId,
        format: Option<ReportFormat>,
    ) -> Result<(Report, ReportFormat, Bytes)> {
        let found = self.inner.reports.report_document(caller.scope(), id).await?;
        let (report, text) = found.ok_or(Error::NotFound("report"))?;
        let format = format.unwrap_or(report.format);
        let document =
            tokio::task::spawn_blocking(move || serde_json::from_slice::<ReportDocument>(&text)).await;
        let document = document.map_err(|_| UNREADABLE)?.map_err(|_| UNREADABLE)?;
        let file = self.inner.renderer.render(document, format).await?;
        Ok((report, format, file))
    }

    /// Deletes one of the caller's reports.
    pub async fn delete(&self, caller: &Caller, id: ReportId) -> Result<()> {
        let (scope, now) = (caller.scope(), self.inner.clock.now());
        let is_deleted = self.inner.reports.delete_report(scope, id, now, &caller.origin()).await?;
        if is_deleted { Ok(()) } else { Err(Error::NotFound("report")) }
    }
}

const UNWRITABLE: Error = Error::Internal("write the report down");
const UNREADABLE: Error =
    Error::Store(StoreError::Inconsistent { table: "report_documents", column: "document" });

/// What is on record of a document.
fn recorded(id: ReportId, session: &Session, document: &ReportDocument, new: NewReport) -> Report {
    Report {
        id,
        user_id: session.user_id,
        session_id: session.id,
        session_name: session.name.clone(),
        format: new.format,
        parts: new.parts,
        size_bytes: 0,
        is_shortened: document.left_out.is_anything(),
        created_at: document.generated_at,
    }
}
