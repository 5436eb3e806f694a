//! A ledger that can be looked into, held up and made to fail.

use std::sync::{Mutex, PoisonError};

use domain::{
    Page, PageRequest, RequestUsage, SessionId,
    ports::{Ledger, StoreError, StoreResult},
};
use tokio::sync::Semaphore;

/// Books into memory; each booking needs a permit, of which there are plenty unless a test takes them away.
pub struct MemoryLedger {
    booked: Mutex<Vec<RequestUsage>>,
    pub permits: Semaphore,
    failures: Mutex<u32>,
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self { booked: Mutex::default(), permits: Semaphore::new(1_000), failures: Mutex::default() }
    }
}

impl MemoryLedger {
    pub fn booked(&self) -> Vec<RequestUsage> {
        self.booked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The only booking there is.
    pub fn only(&self) -> RequestUsage {
        let mut booked = self.booked();
        assert_eq!(booked.len(), 1, "{booked:?}");
        booked.remove(0)
    }

    pub fn fail_next(&self, times: u32) {
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = times;
    }
}

#[async_trait::async_trait]
impl Ledger for MemoryLedger {
    async fn book(&self, usage: &RequestUsage) -> StoreResult<()> {
        let _permit = self.permits.acquire().await.map_err(|error| StoreError::Failed(error.into()))?;
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if *failures > 0 {
            *failures -= 1;
            return Err(StoreError::Unavailable("asked to fail".into()));
        }
        self.booked.lock().unwrap_or_else(PoisonError::into_inner).push(usage.clone());
        Ok(())
    }

    async fn requests(&self, _: SessionId, _: &PageRequest) -> StoreResult<Page<RequestUsage>> {
        Err(StoreError::BadCursor)
    }
}
