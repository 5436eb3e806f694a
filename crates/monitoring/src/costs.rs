//! Money: who is asked before a request is sent, and how what was spent is told.

mod month;

pub use month::{UnknownTimeZone, month_of};

use domain::{
    Budget, Clock,
    ports::{Accounts, Budgets, Costs},
};
use std::{fmt, sync::Arc};

/// Where what is spent is kept.
#[derive(Clone)]
pub struct CostStores {
    pub budgets: Arc<dyn Budgets>,
    pub costs: Arc<dyn Costs>,
    pub accounts: Arc<dyn Accounts>,
}

/// What holds unless somebody says otherwise.
#[derive(Debug, Clone)]
pub struct CostSettings {
    /// Of every user who has no budget of their own, a month.
    pub user_budget: Option<Budget>,
}

/// Holds, settles and tells what requests to the model cost.
pub struct CostTracker {
    pub(crate) stores: CostStores,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: CostSettings,
}

impl CostTracker {
    /// A tracker over these stores.
    #[must_use]
    pub fn new(stores: CostStores, clock: Arc<dyn Clock>, settings: CostSettings) -> Self {
        Self { stores, clock, settings }
    }
}

impl fmt::Debug for CostTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CostTracker").field("settings", &self.settings).finish_non_exhaustive()
    }
}
