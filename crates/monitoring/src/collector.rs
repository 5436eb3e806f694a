//! What the server does, counted and timed: every part of it tells this one, which feeds the instruments and the windows.
//!
//! Recording takes no lock that anybody holds for long, touches no database and never fails. A collector that is
//! switched off costs a look at an `Option`.

mod events;
mod guards;
mod levels;

pub use events::{AgentStart, ArchiveOperation};
pub use guards::LevelGuard;
pub use levels::{AgentLevels, PoolLevels};

use crate::{
    AgentSeries,
    meters::{Meters, MetersError, Scrape, ScrapeError, labels},
    performance::{Activity, PerformanceReport, PerformanceTracker},
};
use domain::{
    MetricsSnapshot, MicroUsd, RequestUsage, SessionId, SessionMode, TurnStatus,
    ports::{Snapshots, StoreResult},
};
use jiff::Timestamp;
use labels::Models;
use levels::Levels;
use opentelemetry::KeyValue;
use opentelemetry_sdk::{Resource, metrics::MeterProviderBuilder};
use std::{fmt, time::Duration};

/// How a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolOutcome {
    Completed,
    Failed,
}

impl ToolOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// Collects figures, or does not; every part of the server holds the same one.
pub struct MetricsCollector(Option<Box<Collecting>>);

struct Collecting {
    meters: Meters,
    models: Models,
    levels: Levels,
    performance: PerformanceTracker,
}

impl MetricsCollector {
    /// Collects. `further` says of whom the one provider that there is tells, and adds readers, such as one that sends to a
    /// collector.
    pub fn new(
        version: &'static str,
        further: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder,
    ) -> Result<Self, MetersError> {
        let meters = Meters::new(further)?;
        meters.instruments.build_info.record(1.0, &[KeyValue::new("version", version)]);
        let collecting = Collecting {
            meters,
            models: Models::default(),
            levels: Levels::default(),
            performance: PerformanceTracker::default(),
        };
        Ok(Self(Some(Box::new(collecting))))
    }

    /// Collects for Prometheus alone.
    pub fn local(version: &'static str) -> Result<Self, MetersError> {
        Self::new(version, |builder| builder.with_resource(Resource::builder_empty().build()))
    }

    /// Collects nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// What Prometheus scrapes; `None` if nothing is collected.
    #[must_use]
    pub fn scrape(&self) -> Option<Scrape> {
        self.on().map(|on| on.meters.scrape.clone())
    }

    /// Percentiles and throughput; `None` if nothing is collected.
    #[must_use]
    pub fn performance(&self) -> Option<PerformanceReport> {
        self.on().map(|on| on.performance.report())
    }

    /// The models that are told apart in labels, as the price table names them; all others count together.
    pub fn know_models(&self, names: impl IntoIterator<Item = String>) {
        if let Some(on) = self.on() {
            on.models.set(names);
        }
    }

    /// Shows what agents report of themselves too, under the names that it has there.
    pub fn show_agents(&self, series: AgentSeries) -> Result<(), ScrapeError> {
        self.on().map_or(Ok(()), |on| on.meters.scrape.add(series))
    }

    /// Sends what was collected to whoever reads, for the last time. It blocks.
    pub fn shut_down(&self) {
        if let Some(on) = self.on()
            && let Err(error) = on.meters.provider.shutdown()
        {
            tracing::debug!(%error, "the last metrics were not sent");
        }
    }

    /// A turn has ended; `took` is from its beginning, without its time in the queue.
    pub fn record_query_duration(&self, mode: SessionMode, outcome: TurnStatus, took: Duration) {
        let Some(on) = self.on() else { return };
        let labels = [KeyValue::new("mode", mode.as_str()), KeyValue::new("outcome", outcome.as_str())];
        on.meters.instruments.turns.add(1, &labels);
        on.meters.instruments.turn_duration.record(took.as_secs_f64(), &labels);
        on.performance.record(Activity::Query, took);
    }

    /// A tool has run for so long.
    pub fn record_tool_execution(&self, tool: &str, outcome: ToolOutcome, took: Duration) {
        let Some(on) = self.on() else { return };
        let tool = KeyValue::new("tool", labels::tool(tool));
        on.meters.instruments.tool_duration.record(took.as_secs_f64(), std::slice::from_ref(&tool));
        on.meters.instruments.tool_executions.add(1, &[tool, KeyValue::new("outcome", outcome.as_str())]);
        on.performance.record(Activity::Tool, took);
    }

    /// A request to the model is over; `first_byte` is until its answer began. What it cost is told by
    /// [`MetricsCollector::record_api_cost`] when it is booked.
    pub fn record_model_request(&self, usage: &RequestUsage, first_byte: Option<Duration>) {
        let Some(on) = self.on() else { return };
        let model = KeyValue::new("model", on.models.label(&usage.model));
        let took = Duration::from_millis(usage.duration_ms).as_secs_f64();
        let instruments = &on.meters.instruments;
        instruments.model_duration.record(took, std::slice::from_ref(&model));
        if let Some(first_byte) = first_byte {
            instruments.model_first_byte.record(first_byte.as_secs_f64(), std::slice::from_ref(&model));
        }
        let outcome = KeyValue::new("outcome", labels::model_outcome(usage));
        instruments.model_requests.add(1, &[model, outcome]);
    }

    /// A request to the model was booked. Call it once for each.
    pub fn record_api_cost(&self, usage: &RequestUsage) {
        let Some(on) = self.on() else { return };
        let instruments = &on.meters.instruments;
        let model = on.models.label(&usage.model);
        let kinds = [
            ("input", usage.tokens.input),
            ("output", usage.tokens.output),
            ("cache_write_5m", usage.tokens.cache_write_5m),
            ("cache_write_1h", usage.tokens.cache_write_1h),
            ("cache_read", usage.tokens.cache_read),
            ("thinking", usage.thinking_tokens),
        ];
        for (kind, count) in kinds.into_iter().filter(|(_, count)| *count > 0) {
            let labels = [KeyValue::new("model", model.clone()), KeyValue::new("kind", kind)];
            instruments.tokens.add(count, &labels);
        }
        let cost = dollars(usage.cost);
        instruments.cost.add(cost, &[KeyValue::new("model", model)]);
        if !usage.is_priced {
            instruments.cost_unpriced.add(cost, &[]);
        }
        if usage.is_estimated {
            instruments.cost_estimated.add(cost, &[]);
        }
    }

    /// Stores the figures of these sessions as they are now, in one unit of work, and answers with them. Sessions that
    /// are not there are passed over. Nothing is stored by a collector that is switched off.
    pub async fn create_snapshot(
        &self,
        store: &dyn Snapshots,
        sessions: &[SessionId],
        at: Timestamp,
    ) -> StoreResult<Vec<MetricsSnapshot>> {
        let Some(on) = self.on() else { return Ok(Vec::new()) };
        let snapshots = store.measure(sessions, at).await?;
        if !snapshots.is_empty() {
            store.record_snapshots(&snapshots).await?;
            on.meters.instruments.snapshots.add(snapshots.len() as u64, &[]);
        }
        Ok(snapshots)
    }

    fn on(&self) -> Option<&Collecting> {
        self.0.as_deref()
    }
}

/// Money as a floating-point number, for sums that people look at. Nothing is decided by it; a credit counts as nothing,
/// because a counter only rises.
fn dollars(amount: MicroUsd) -> f64 {
    amount.as_usd().max(0.0)
}

impl fmt::Debug for MetricsCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsCollector").field("is_on", &self.0.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
