//! What servers on one store tell each other of how often callers asked, so that they count together.

use super::StoreResult;
use crate::ServerId;
use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

/// How often callers asked one server since its report before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateReport {
    pub id: Uuid,
    pub server: ServerId,
    pub at: Timestamp,
    /// Callers by what is kept of their names, and how often each asked.
    pub requests: Vec<(String, u32)>,
}

/// Reports of all servers.
#[async_trait]
pub trait RateReports: Send + Sync {
    /// Stores a report, if there is one, and removes what any server reported before `forgotten_before`, for those that
    /// are gone or idle do not; answers with what other servers have reported since then.
    async fn exchange_reports(
        &self,
        server: ServerId,
        report: Option<&RateReport>,
        forgotten_before: Timestamp,
    ) -> StoreResult<Vec<RateReport>>;
}
