//! Reports and their documents.

use super::{
    MemoryStore,
    page::{Direction, instant_key, read_page},
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

#[async_trait]
impl Reports for MemoryStore {
    async fn create_report(
        &self,
        report: &Report,
        document: Bytes,
        owned_max: Option<u32>,
        origin: &Origin,
    ) -> StoreResult<Filed> {
        let mut state = self.state();
        if !state.sessions.contains_key(&report.session_id) {
            return Ok(Filed::NoSession);
        }
        let owned = state.reports.iter().filter(|(one, _)| one.user_id == report.user_id).count();
        if owned_max.is_some_and(|max| owned >= max as usize) {
            return Ok(Filed::Full);
        }
        if state.reports.iter().any(|(known, _)| known.id == report.id) {
            return Err(StoreError::Conflict { what: "something of this id" });
        }
        state.reports.push((report.clone(), document));
        state.audit(events::report_created(report, origin))?;
        Ok(Filed::Filed)
    }

    async fn report(&self, scope: Scope, id: ReportId) -> StoreResult<Option<Report>> {
        Ok(self.report_document(scope, id).await?.map(|(report, _)| report))
    }

    async fn report_document(&self, scope: Scope, id: ReportId) -> StoreResult<Option<(Report, Bytes)>> {
        let state = self.state();
        Ok(state.reports.iter().find(|(report, _)| report.id == id && scope.covers(report.user_id)).cloned())
    }

    async fn reports(
        &self,
        scope: Scope,
        filter: &ReportFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<Report>> {
        let passes = |report: &Report| {
            scope.covers(report.user_id)
                && filter.session_id.is_none_or(|id| id == report.session_id)
                && filter.format.is_none_or(|format| format == report.format)
        };
        let reports = self.state().reports.iter().map(|(report, _)| report.clone()).collect::<Vec<_>>();
        let reports = reports.into_iter().filter(passes).collect();
        let key = |report: &Report| instant_key(report.created_at, report.id.0);
        read_page("reports", reports, key, Direction::Descending, page)
    }

    async fn delete_report(
        &self,
        scope: Scope,
        id: ReportId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let found = |(report, _): &(Report, Bytes)| report.id == id && scope.covers(report.user_id);
        let Some(index) = state.reports.iter().position(found) else { return Ok(false) };
        let (gone, _) = state.reports.remove(index);
        state.audit(events::report_deleted(&gone, origin, at))?;
        Ok(true)
    }
}
