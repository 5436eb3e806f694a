//! How the running server is seen from outside: its logs and its health.

pub mod health;
pub mod telemetry;

pub use health::{Check, CheckResult, HealthChecker, Importance, Outcome, Report, Status};
pub use telemetry::{LogFilter, LogFilterError, LogFormat, TelemetryError, init};
