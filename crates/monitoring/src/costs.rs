//! Money: who is asked before a request is sent, and how what was spent is told.

mod accounts;
mod budgets;
mod error;
mod gate;
mod levels;
mod month;
mod period;
mod report;

pub use accounts::AccountsError;
pub use budgets::BudgetView;
pub use error::CostError;
pub use gate::{Ask, HOLD_WAIT_MAX, Refused};
pub use month::{UnknownTimeZone, month_of, next_month};
pub use period::{BeyondCalendar, Period, Stretch, zone, zone_name};
pub use report::{Breakdown, CostAsked, CostReport, NAMED_MAX};

use crate::MetricsCollector;
use domain::{
    Budget, Clock, ServerId,
    ports::{Accounts, Budgets, Costs},
};
use std::{fmt, sync::Arc};

/// By whose clocks the time of teams and of everybody is counted: people live anywhere.
pub(crate) const NOBODYS_ZONE: &str = "UTC";

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
    /// If not, no budget is asked and nothing is held; requests are booked all the same.
    pub is_enabled: bool,
    /// This server, whose lease keeps its holds.
    pub server: ServerId,
    /// Of every user who has no budget of their own, a month.
    pub user_budget: Option<Budget>,
}

/// Holds, settles and tells what requests to the model cost.
pub struct CostTracker {
    pub(crate) stores: CostStores,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: CostSettings,
    metrics: Arc<MetricsCollector>,
    owners: accounts::Owners,
    gate: gate::Gate,
}

impl CostTracker {
    /// A tracker over these stores, which tells nobody's metrics.
    #[must_use]
    pub fn new(stores: CostStores, clock: Arc<dyn Clock>, settings: CostSettings) -> Self {
        Self {
            stores,
            clock,
            settings,
            metrics: Arc::new(MetricsCollector::off()),
            owners: accounts::Owners::default(),
            gate: gate::Gate::default(),
        }
    }

    /// The same, which counts what it does there.
    #[must_use]
    pub fn counted_by(self, metrics: Arc<MetricsCollector>) -> Self {
        Self { metrics, ..self }
    }

    /// Where requests to the model are counted.
    #[must_use]
    pub fn metrics(&self) -> &MetricsCollector {
        &self.metrics
    }
}

impl fmt::Debug for CostStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CostStores")
    }
}

impl fmt::Debug for CostTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CostTracker").field("settings", &self.settings).finish_non_exhaustive()
    }
}
