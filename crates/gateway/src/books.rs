//! What every request needs to be held, priced and settled.

use std::sync::Arc;

use domain::Clock;
use jiff::Timestamp;
use monitoring::CostTracker;
use tokio::runtime::Handle;

use crate::prices::Prices;

/// What to do with a request for a model that the price table does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownModel {
    /// It is refused.
    Deny,
    /// It is passed on, and reckoned at the highest price that any model has.
    #[default]
    Highest,
}

/// Who is asked before a request is sent, and told after.
pub(crate) struct Books {
    pub(crate) costs: Arc<CostTracker>,
    clock: Arc<dyn Clock>,
    pub(crate) prices: Arc<Prices>,
    pub(crate) unknown_model: UnknownModel,
    /// Requests may end where no runtime is at hand: when a connection is dropped.
    pub(crate) runtime: Handle,
}

impl std::fmt::Debug for Books {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Books").field("prices", &self.prices.current().version()).finish_non_exhaustive()
    }
}

impl Books {
    pub(crate) fn new(
        costs: Arc<CostTracker>,
        clock: Arc<dyn Clock>,
        prices: Arc<Prices>,
        unknown_model: UnknownModel,
    ) -> Self {
        Self { costs, clock, prices, unknown_model, runtime: Handle::current() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
