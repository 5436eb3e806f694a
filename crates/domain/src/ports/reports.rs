//! Reports on record, and who writes them down.

use super::StoreResult;
use crate::{
    Origin, Page, PageRequest, Report, ReportFormat, ReportId, Scope,
    report::{ReportDocument, ReportFilter},
};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

/// Reports on record. They go with their session.
#[async_trait]
pub trait Reports: Send + Sync {
    /// Stores a report and its document, which is JSON, unless its user has `owned_max` already, if that is given, however
    /// many are stored at once. One of an id that is there is a
    /// [`StoreError::Conflict`](super::StoreError::Conflict).
    async fn create_report(
        &self,
        report: &Report,
        document: Bytes,
        owned_max: Option<u32>,
        origin: &Origin,
    ) -> StoreResult<Filed>;

    /// The report, if it is there and inside the scope.
    async fn report(&self, scope: Scope, id: ReportId) -> StoreResult<Option<Report>>;

    /// The report and its document, as it was stored.
    async fn report_document(&self, scope: Scope, id: ReportId) -> StoreResult<Option<(Report, Bytes)>>;

    /// Reports inside the scope that pass the filter, newest first.
    async fn reports(
        &self,
        scope: Scope,
        filter: &ReportFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<Report>>;

    /// Deletes the report and its document; false if there is none inside the scope.
    async fn delete_report(
        &self,
        scope: Scope,
        id: ReportId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool>;
}

/// What came of storing a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filed {
    Filed,
    /// Its session is gone.
    NoSession,
    /// Its user has as many as they may have.
    Full,
}

/// Writes documents down. It takes its time, which is bounded; others wait.
#[async_trait]
pub trait ReportRenderer: Send + Sync {
    /// The document in this format.
    async fn render(&self, document: ReportDocument, format: ReportFormat) -> Result<Bytes, RenderError>;
}

/// Why a document could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// As many as may are being written, and as many as may wait; try again later.
    #[error("write more reports at once")]
    Busy,
    /// It took longer than it may.
    #[error("write the report in time")]
    TimedOut,
    /// Anything else; trying again will not help.
    #[error("write the report")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
