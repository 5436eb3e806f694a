//! How the running server is seen from outside: its logs, its health and its figures.

pub mod durations;
pub mod health;
pub mod telemetry;

pub use durations::{Durations, Tally};
pub use health::{Check, CheckResult, HealthChecker, Importance, Outcome, Report, Status};
pub use telemetry::{LogFilter, LogFilterError, LogFormat, TelemetryError, init};
