//! Reports of how often callers asked.

use super::MemoryStore;
use async_trait::async_trait;
use domain::{
    ServerId,
    ports::{RateReport, RateReports, StoreResult},
};
use jiff::Timestamp;

#[async_trait]
impl RateReports for MemoryStore {
    async fn exchange_reports(
        &self,
        server: ServerId,
        report: Option<&RateReport>,
        forgotten_before: Timestamp,
    ) -> StoreResult<Vec<RateReport>> {
        let mut state = self.state();
        state.rate_reports.retain(|old| old.at >= forgotten_before);
        state.rate_reports.extend(report.cloned());
        Ok(state.rate_reports.iter().filter(|one| one.server != server).cloned().collect())
    }
}
