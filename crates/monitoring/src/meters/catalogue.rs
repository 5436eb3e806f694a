//! Every metric there is: its name, what it is told apart by, and what it means.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// What a metric is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// As OpenTelemetry names it: words with dots, without a unit.
    pub otel_name: &'static str,
    /// In the notation of UCUM; empty where there is none. What has no symbol of its own stands in braces: whoever makes
    /// Prometheus' names of ours adds what it takes for a unit, and leaves those out.
    pub unit: &'static str,
    pub kind: Kind,
    /// What its series are told apart by, as Prometheus names it. All of them are bounded; none is an id.
    pub labels: &'static [&'static str],
    pub help: &'static str,
    /// Upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

/// Series of an instrument with one label whose words are on a list of the program: the longest has 42.
const LISTED_MAX: usize = 100;
/// The same with two such labels: events and outcomes of hooks make 136.
const LISTED_PAIRS_MAX: usize = 300;

/// Answers to requests.
const REQUEST: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// What a person or an agent takes.
const LONG: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
/// What happens within the server.
const SHORT: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
    30.0,
];
/// From a kibibyte to sixteen gibibytes.
const BYTES: &[f64] = &[
    1024.0,
    16_384.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
    17_179_869_184.0,
];
const NONE: &[f64] = &[];

/// Makes an instrument of what the catalogue says of it.
trait Instrument: Sized {
    const KIND: Kind;
    fn build(meter: &Meter, metric: &Metric) -> Self;
}

macro_rules! instrument {
    ($type:ty, $kind:ident, $builder:ident $(, $buckets:ident)?) => {
        impl Instrument for $type {
            const KIND: Kind = Kind::$kind;
            fn build(meter: &Meter, metric: &Metric) -> Self {
                let builder = meter.$builder(metric.otel_name).with_description(metric.help);
                $(let builder = builder.with_boundaries(metric.$buckets.to_vec());)?
                builder.with_unit(metric.unit).build()
            }
        }
    };
}

instrument!(Counter<u64>, Counter, u64_counter);
instrument!(Counter<f64>, Counter, f64_counter);
instrument!(Gauge<f64>, Gauge, f64_gauge);
instrument!(Histogram<f64>, Histogram, f64_histogram, buckets);

/// How many there are now of what comes and goes with each request: one number, which is read when somebody asks.
#[derive(Debug)]
pub(crate) struct LiveCount(Arc<AtomicI64>);

impl LiveCount {
    pub(crate) fn shift(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Instrument for LiveCount {
    const KIND: Kind = Kind::Gauge;

    fn build(meter: &Meter, metric: &Metric) -> Self {
        let count = Arc::new(AtomicI64::new(0));
        let read = Arc::clone(&count);
        meter
            .i64_observable_up_down_counter(metric.otel_name)
            .with_description(metric.help)
            .with_unit(metric.unit)
            .with_callback(move |observer| observer.observe(read.load(Ordering::Relaxed), &[]))
            .build();
        Self(count)
    }
}

/// The table is both: what is recorded with, and what is told about it.
macro_rules! instruments {
    ($($field:ident: $type:ty = $name:literal, $unit:literal, [$($label:literal),*], $buckets:ident, $help:literal;)*) => {
        /// Everything that is recorded here.
        #[derive(Debug)]
        pub(crate) struct Instruments { $(pub(crate) $field: $type,)* }

        const RECORDED: &[Metric] = &[$(Metric {
            otel_name: $name,
            unit: $unit,
            kind: <$type as Instrument>::KIND,
            labels: &[$($label),*],
            help: $help,
            buckets: $buckets,
        },)*];

        impl Instruments {
            pub(super) fn new(meter: &Meter) -> Self {
                let mut metrics = RECORDED.iter();
                let mut next = || metrics.next().copied().unwrap_or(RECORDED[0]);
                Self { $($field: Instrument::build(meter, &next()),)* }
            }
        }
    };
}

instruments! {
    http_duration: Histogram<f64> = "http.server.request.duration", "s", ["http_request_method", "http_route", "http_response_status_code"], REQUEST, "From the arrival of a request to the head of its answer; streams go on after that.";
    http_active: LiveCount = "http.server.active_requests", "", [], NONE, "Requests whose answer has not begun.";
    sessions: Gauge<f64> = "steward.sessions", "", ["status", "mode"], NONE, "Sessions of the store by state; looked up in the background.";
    turns: Counter<u64> = "steward.turns", "", ["mode", "outcome"], NONE, "Turns that ended on this server.";
    turn_duration: Histogram<f64> = "steward.turn.duration", "s", ["mode", "outcome"], LONG, "From a turn's beginning to its end, without its time in the queue.";
    queue_depth: Gauge<f64> = "steward.queue.depth", "", ["pool"], NONE, "Sessions that wait for a slot.";
    queue_oldest_age: Gauge<f64> = "steward.queue.oldest_age", "s", ["pool"], NONE, "How long the one that waits longest has waited; 0 when nobody waits.";
    agents: Gauge<f64> = "steward.agents", "", ["state"], NONE, "Agent processes of this server: starting, running a turn, idle, or on trial.";
    agent_starts: Counter<u64> = "steward.agent.starts", "", ["outcome"], NONE, "Agents that were started: started, failed, or stopped before they were up.";
    agent_start_duration: Histogram<f64> = "steward.agent.start.duration", "s", [], LONG, "From the decision to start an agent until it takes prompts.";
    agents_memory: Gauge<f64> = "steward.agents.memory", "By", [], NONE, "Memory of all agents and what they started: anonymous and shared pages.";
    agent_memory_max: Gauge<f64> = "steward.agent.memory_max", "By", [], NONE, "The same of the one agent that takes most.";
    model_requests: Counter<u64> = "steward.model.requests", "", ["model", "outcome"], NONE, "Requests to the model: completed, cut, rejected, rate_limited, failed or unreachable.";
    model_duration: Histogram<f64> = "steward.model.request.duration", "s", ["model"], LONG, "From a request to the model until the end of its answer.";
    model_first_byte: Histogram<f64> = "steward.model.time_to_first_byte", "s", ["model"], LONG, "From a request to the model until its answer begins.";
    tokens: Counter<u64> = "steward.tokens", "", ["model", "kind"], NONE, "Tokens by what they are priced as; thinking is a part of output and told beside it.";
    cost: Counter<f64> = "steward.cost.usd", "{USD}", ["model"], NONE, "What requests to the model cost by the price table.";
    cost_unpriced: Counter<f64> = "steward.cost.unpriced.usd", "{USD}", [], NONE, "Of that, what was priced at the highest known price, because the table has none for the model.";
    cost_estimated: Counter<f64> = "steward.cost.estimated.usd", "{USD}", [], NONE, "Of that, what was estimated, because no usage was told.";
    budget_holds: Gauge<f64> = "steward.budget.holds", "", [], NONE, "Requests that money is set aside for; of the store.";
    budget_held: Gauge<f64> = "steward.budget.held.usd", "{USD}", [], NONE, "What is set aside for them; of the store.";
    budget_spenders: Gauge<f64> = "steward.budget.spenders", "", ["kind", "used"], NONE, "Spenders of the store by how much of their budget is spent: each that somebody set one for, and each user on the default budget who spent something this month.";
    budget_remaining: Gauge<f64> = "steward.budget.remaining.usd", "{USD}", ["kind"], NONE, "What is left of all those budgets of a kind together; of the store.";
    budget_refusals: Counter<u64> = "steward.budget.refusals", "", ["kind"], NONE, "Requests to the model that were refused, by the kind of the spender whose money was gone.";
    budget_waits: Counter<u64> = "steward.budget.waits", "", [], NONE, "Requests to the model that waited until others were settled.";
    ledger_failures: Counter<u64> = "steward.ledger.failures", "", [], NONE, "Requests to the model that could not be booked at once; they are tried again, and the log has each.";
    approvals_pending: Gauge<f64> = "steward.approvals.pending", "", [], NONE, "Questions that wait for a person; of the store.";
    approvals_oldest_age: Gauge<f64> = "steward.approvals.oldest_age", "s", [], NONE, "How long the oldest of them has waited, 0 when there is none; of the store.";
    decisions: Counter<u64> = "steward.permission.decisions", "", ["verdict", "rule"], NONE, "Decisions about tool calls, by the policy that decided, or person, expiry, failure.";
    permission_duration: Histogram<f64> = "steward.permission.check.duration", "s", [], SHORT, "How long an agent waited for a verdict, until it was on record.";
    hook_runs: Counter<u64> = "steward.hook.runs", "", ["event", "outcome"], NONE, "Hooks that were called: completed, blocked, failed or timed_out.";
    hook_duration: Histogram<f64> = "steward.hook.duration", "s", ["event"], SHORT, "How long a hook took to answer.";
    tool_executions: Counter<u64> = "steward.tool.executions", "", ["tool", "outcome"], NONE, "Tools that ran: completed or failed. MCP tools count together.";
    tool_duration: Histogram<f64> = "steward.tool.duration", "s", ["tool"], LONG, "How long a tool ran.";
    archives: Counter<u64> = "steward.archives", "", ["operation", "outcome"], NONE, "Archives that were stored or restored: completed or failed.";
    archive_duration: Histogram<f64> = "steward.archive.duration", "s", ["operation"], LONG, "How long an attempt at it took.";
    archive_size: Histogram<f64> = "steward.archive.size", "By", [], BYTES, "Sizes of stored archives.";
    stream_watchers: LiveCount = "steward.stream.watchers", "", [], NONE, "Clients that watch a session.";
    stream_disconnects: Counter<u64> = "steward.stream.disconnects", "", [], NONE, "Watchers that were disconnected because they were too slow.";
    database_connections: Gauge<f64> = "steward.database.connections", "", ["pool", "state"], NONE, "Open connections to the database.";
    database_connections_max: Gauge<f64> = "steward.database.connections_max", "", ["pool"], NONE, "How many there may be.";
    store_errors: Counter<u64> = "steward.store.errors", "", ["kind"], NONE, "What the database refused: unavailable is of the moment, failed and inconsistent are not.";
    executions: Gauge<f64> = "steward.task.executions", "", ["state"], NONE, "Executions of tasks that are not over: due, waiting for their time, running; of the store.";
    executions_oldest_age: Gauge<f64> = "steward.task.queue.oldest_age", "s", [], NONE, "How long the execution that waits longest could have begun, 0 when none waits; of the store.";
    execution_ends: Counter<u64> = "steward.task.execution.ends", "", ["outcome"], NONE, "Executions that this server ended: completed, failed, cancelled or outcome_unknown.";
    task_slots: Gauge<f64> = "steward.task.slots", "", ["state"], NONE, "Executions that this server works on, and that it may at most.";
    snapshots: Counter<u64> = "steward.snapshots", "", [], NONE, "Snapshots of sessions' figures that were stored.";
    alerts: Counter<u64> = "steward.alerts", "", ["topic", "severity"], NONE, "Alerts that were raised.";
    alert_deliveries: Counter<u64> = "steward.alert.deliveries", "", ["channel", "outcome"], NONE, "Attempts to tell of an alert.";
    telemetry_dropped: Counter<u64> = "steward.telemetry.dropped", "", ["signal"], NONE, "Spans, points and log records that no collector took.";
    health_check: Gauge<f64> = "steward.health_check", "", ["check", "required"], NONE, "1 while a health check passes, 0 while it fails; the server is not ready while a required one does.";
    build_info: Gauge<f64> = "steward.build_info", "", ["version"], NONE, "Always 1; the label says which version runs.";
}

/// What is looked up when somebody asks, and not recorded.
const OBSERVED: &[Metric] = &[
    observed(
        "process.resident_memory",
        "By",
        Kind::Gauge,
        "Resident memory of the server, without its agents.",
    ),
    observed(
        "process.cpu",
        "s",
        Kind::Counter,
        "CPU time of the server, user and system, without its agents.",
    ),
    observed("process.open_fds", "", Kind::Gauge, "Open file descriptors of the server."),
    observed("process.start_time", "s", Kind::Gauge, "When the server was started, in seconds since 1970."),
];

const fn observed(otel_name: &'static str, unit: &'static str, kind: Kind, help: &'static str) -> Metric {
    Metric { otel_name, unit, kind, labels: &[], help, buckets: NONE }
}

/// Every metric, in the order of the documentation.
pub fn catalogue() -> impl Iterator<Item = &'static Metric> {
    RECORDED.iter().chain(OBSERVED)
}

impl Metric {
    /// How many series it may have. The SDK reserves room for all of them at once, and scatters those that there are over
    /// it. `None` leaves it at its 2,000: routes are many, and a price table may be replaced by one with other models.
    pub(super) fn series_max(&self) -> Option<usize> {
        match self.labels {
            [] => Some(1),
            labels if labels.contains(&"http_route") || labels.contains(&"model") => None,
            [_] => Some(LISTED_MAX),
            _ => Some(LISTED_PAIRS_MAX),
        }
    }

    /// Its name in Prometheus.
    #[must_use]
    pub fn name(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.otel_name.replace('.', "_"))
    }
}

impl Kind {
    /// The word for it in a scrape.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The catalogue as a table of the documentation.
#[must_use]
pub fn table() -> String {
    let rows = catalogue().map(|metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (metric.name(), metric.kind.as_str());
        format!("| `{name}` | {kind} | {} | {} |\n", labels.join(", "), metric.help)
    });
    "| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n".to_owned() + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is exported gets its Prometheus name from others, who must come to the same.
    #[test]
    fn units_are_those_that_everybody_writes_alike() {
        for Metric { otel_name, unit, .. } in catalogue() {
            let is_note = unit.starts_with('{') && unit.ends_with('}');
            assert!(is_note || ["", "s", "By"].contains(unit), "{otel_name}: {unit}");
        }
    }
}
