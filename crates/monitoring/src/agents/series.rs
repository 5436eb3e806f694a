//! The metrics of all agents together, for Prometheus: named as the CLI names them, and without ids.

use domain::ports::TelemetrySignal;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prometheus::{
    IntCounterVec, Opts,
    core::{Collector, Desc},
    proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The attributes that become labels: each has few values. Those that name a session, a person or a prompt do not.
const LABELS: [&str; 10] = [
    "decision",
    "effort",
    "language",
    "model",
    "query_source",
    "source",
    "speed",
    "start_type",
    "tool_name",
    "type",
];
/// What the names of the CLI's metrics begin with. An agent may send any name, but not one that is the server's.
pub(super) const PREFIX: &str = "claude_code.";
const NAME_BYTES_MAX: usize = 100;
const NAMES_MAX: usize = 64;
/// Series of all names together. What goes beyond is counted in one series of its name, marked as the overflow.
const SERIES_MAX: usize = 1_000;
const LABEL_BYTES_MAX: usize = 64;
const OVERFLOW: &str = "otel_metric_overflow";
const OTHER: &str = "other";

type Labels = Vec<(&'static str, String)>;

/// Adds up what agents report; clones share it.
#[derive(Clone)]
pub struct AgentSeries {
    sums: Arc<Mutex<BTreeMap<String, BTreeMap<Labels, Sum>>>>,
    reports: Option<IntCounterVec>,
}

#[derive(Debug, Clone)]
enum Sum {
    Counter(f64),
    Histogram { bounds: Vec<f64>, counts: Vec<u64>, sum: f64 },
}

impl Default for AgentSeries {
    fn default() -> Self {
        let options =
            Opts::new("steward_agent_reports_total", "OTLP requests of agents, by signal and outcome");
        // None only if the name above were no name.
        let reports = IntCounterVec::new(options, &["signal", "outcome"]).ok();
        Self { sums: Arc::default(), reports }
    }
}

impl AgentSeries {
    /// Counts a report.
    pub(super) fn reported(&self, signal: TelemetrySignal, is_readable: bool) {
        let outcome = if is_readable { "taken" } else { "unreadable" };
        if let Some(reports) = &self.reports {
            reports.with_label_values(&[signal.as_str(), outcome]).inc();
        }
    }

    /// Adds to a counter.
    pub(super) fn add(&self, metric: &str, attributes: &[KeyValue], added: f64) {
        self.change(metric, attributes, |sum| match sum {
            Some(Sum::Counter(total)) => *total += added,
            Some(Sum::Histogram { .. }) => {}
            none => *none = Some(Sum::Counter(added)),
        });
    }

    /// Adds to a histogram.
    pub(super) fn observe(
        &self,
        metric: &str,
        attributes: &[KeyValue],
        new_bounds: &[f64],
        added: &[u64],
        added_sum: f64,
    ) {
        self.change(metric, attributes, |total| match total {
            Some(Sum::Histogram { bounds, counts, sum }) if bounds == new_bounds => {
                for (count, added) in counts.iter_mut().zip(added) {
                    *count = count.saturating_add(*added);
                }
                *sum += added_sum;
            }
            Some(_) => {}
            none => {
                let (bounds, counts) = (new_bounds.to_vec(), added.to_vec());
                *none = Some(Sum::Histogram { bounds, counts, sum: added_sum });
            }
        });
    }

    fn change(&self, metric: &str, attributes: &[KeyValue], change: impl FnOnce(&mut Option<Sum>)) {
        let Some(name) = prometheus_name(metric) else { return };
        let mut sums = self.sums();
        let series: usize = sums.values().map(BTreeMap::len).sum();
        if !sums.contains_key(&name) && sums.len() >= NAMES_MAX {
            return;
        }
        let of_name = sums.entry(name).or_default();
        let mut labels = labels(attributes);
        if series >= SERIES_MAX && !of_name.contains_key(&labels) {
            labels = vec![(OVERFLOW, "true".to_owned())];
        }
        let mut sum = of_name.remove(&labels);
        change(&mut sum);
        if let Some(sum) = sum {
            of_name.insert(labels, sum);
        }
    }

    fn sums(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<Labels, Sum>>> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `claude_code_token_usage_total` of `claude_code.token.usage`.
fn prometheus_name(metric: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._".contains(&byte);
    if !metric.starts_with(PREFIX) || metric.len() > NAME_BYTES_MAX || !metric.bytes().all(is_plain) {
        return None;
    }
    Some(metric.replace('.', "_"))
}

fn labels(attributes: &[KeyValue]) -> Labels {
    let mut labels: Labels = attributes
        .iter()
        .filter_map(|attribute| {
            let name = LABELS.iter().find(|label| **label == attribute.key)?;
            let value = match attribute.value.as_ref()?.value.as_ref()? {
                Value::StringValue(text) if text.len() <= LABEL_BYTES_MAX => text.clone(),
                Value::BoolValue(truth) => truth.to_string(),
                _ => OTHER.to_owned(),
            };
            Some((*name, value))
        })
        .collect();
    labels.sort();
    labels.dedup_by(|one, other| one.0 == other.0);
    labels
}

impl Collector for AgentSeries {
    fn desc(&self) -> Vec<&Desc> {
        self.reports.as_ref().map(Collector::desc).unwrap_or_default()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.reports.as_ref().map(Collector::collect).unwrap_or_default();
        families.retain(|family| !family.get_metric().is_empty());
        for (name, of_name) in self.sums().iter() {
            // One name has one type; the first that came decided it.
            let Some(first) = of_name.values().next() else { continue };
            let is_counter = matches!(first, Sum::Counter(_));
            let mut family = MetricFamily::default();
            let is_total = name.ends_with("_total") || !is_counter;
            family.set_name(if is_total { name.clone() } else { format!("{name}_total") });
            family.set_help("Reported by agents of themselves, all sessions together".to_owned());
            family.set_field_type(if is_counter { MetricType::COUNTER } else { MetricType::HISTOGRAM });
            let alike = of_name.iter().filter(|(_, sum)| matches!(sum, Sum::Counter(_)) == is_counter);
            family.set_metric(alike.map(|(labels, sum)| metric(labels, sum)).collect());
            families.push(family);
        }
        families
    }
}

fn metric(labels: &Labels, sum: &Sum) -> Metric {
    let pair = |(name, value): &(&'static str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.clone());
        pair
    };
    let mut metric = Metric::from_label(labels.iter().map(pair).collect());
    match sum {
        Sum::Counter(total) => {
            let mut counter = Counter::default();
            counter.set_value(*total);
            metric.set_counter(counter);
        }
        Sum::Histogram { bounds, counts, sum } => {
            let mut so_far = 0_u64;
            let buckets = bounds.iter().zip(counts).map(|(bound, count)| {
                so_far = so_far.saturating_add(*count);
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(*bound);
                bucket.set_cumulative_count(so_far);
                bucket
            });
            let mut histogram = Histogram::default();
            histogram.set_bucket(buckets.collect());
            histogram
                .set_sample_count(counts.iter().fold(0, |total: u64, count| total.saturating_add(*count)));
            histogram.set_sample_sum(*sum);
            metric.set_histogram(histogram);
        }
    }
    metric
}

impl fmt::Debug for AgentSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentSeries").finish_non_exhaustive()
    }
}
