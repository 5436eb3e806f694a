//! Prices a request and hands it to the ledger, again if need be.

use std::sync::Arc;

use domain::{Clock, RequestUsage, ports::Ledger};
use jiff::Timestamp;
use tokio::runtime::Handle;

use crate::{
    limits::{BOOKING_ATTEMPTS, BOOKING_RETRY_DELAY},
    prices::PriceTable,
};

/// What every request needs to be booked.
pub(crate) struct Books {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    pub(crate) prices: PriceTable,
    /// Requests may end where no runtime is at hand: when a connection is dropped.
    pub(crate) runtime: Handle,
}

impl std::fmt::Debug for Books {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Books").field("prices", &self.prices.version()).finish_non_exhaustive()
    }
}

impl Books {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, prices: PriceTable) -> Self {
        Self { ledger, clock, prices, runtime: Handle::current() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns when the request is on record, or when that was tried often enough.
    pub(crate) async fn book(&self, usage: RequestUsage) {
        let mut delay = BOOKING_RETRY_DELAY;
        for attempt in 1..=BOOKING_ATTEMPTS {
            match self.ledger.book(&usage).await {
                Ok(()) => return,
                Err(error) if attempt < BOOKING_ATTEMPTS => {
                    tracing::warn!(
                        attempt,
                        error = &error as &dyn std::error::Error,
                        "booking a request failed"
                    );
                    tokio::time::sleep(delay).await;
                    delay *= 2;
                }
                // The log line is the last place that can keep it, so it says everything the row would.
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        ?usage,
                        "a request is not booked"
                    );
                }
            }
        }
    }
}
