//! How the running server is seen from outside: its logs, its health, its figures and its costs.

pub mod agents;
pub mod alerts;
mod collector;
pub mod costs;
pub mod health;
mod meters;
mod performance;
pub mod spans;
pub mod telemetry;

pub use agents::{AgentReceiver, AgentSeries};
pub use alerts::Alerter;
pub use collector::{
    AgentLevels, AgentStart, ArchiveOperation, LevelGuard, MetricsCollector, PoolLevels, ToolOutcome,
};
pub use costs::{AccountsError, Ask, CostSettings, CostStores, CostTracker, Refused};
pub use health::{
    Check, CheckResult, DiskBounds, Finding, HealthChecker, HealthWatch, Importance, Outcome, PartResult,
    Report, Room, Status, WatchSettings,
};
pub use meters::{CONTENT_TYPE, Kind, MetersError, Metric, Scrape, ScrapeError, catalogue, table};
pub use performance::{Activity, Figures, Percentiles, PerformanceReport, PerformanceTracker, Span};
pub use telemetry::{
    LogFilter, LogFilterError, LogFormat, Telemetry, TelemetryError, TelemetrySettings, init,
};
