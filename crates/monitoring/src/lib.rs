//! How the running server is seen from outside: its logs, its health, its figures and its costs.

pub mod alerts;
pub mod costs;
pub mod durations;
pub mod health;
pub mod telemetry;

pub use alerts::Alerter;
pub use costs::{AccountsError, Ask, CostSettings, CostStores, CostTracker, Refused};
pub use durations::{Durations, Tally};
pub use health::{Check, CheckResult, HealthChecker, Importance, Outcome, Report, Status};
pub use telemetry::{LogFilter, LogFilterError, LogFormat, TelemetryError, init};
