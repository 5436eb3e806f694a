//! Turns what agents add up since their last report into what they added up since they began.
//!
//! The rules are those of the OpenTelemetry collector's `deltatocumulative`: a stream is a metric with its attributes; a
//! point that is older than what was seen, or that reaches back before the stream began, is dropped; a stream that is
//! quiet for long is forgotten, and begins anew with its next point.

use super::series::{AgentSeries, PREFIX};
use domain::SessionId;
use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
        metric::Data, number_data_point::Value,
    },
};
use prost::Message;
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

/// Streams of all agents; further ones are dropped while there are so many.
const STREAMS_MAX: usize = 20_000;
/// Those of one session: an agent that makes up attributes leaves room for the others.
const SESSION_STREAMS_MAX: usize = 1_000;
/// Bytes of what tells a stream of a session from the others, its name and its attributes.
const KEY_BYTES_MAX: usize = 4 * 1024;
/// How long a stream may be quiet.
const QUIET_MAX: Duration = Duration::from_secs(600);
/// How often those that were are forgotten, beside whenever there is no room.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Buckets of a histogram.
const BUCKETS_MAX: usize = 200;

/// What has been added up, by session and stream.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_session: HashMap<SessionId, HashMap<Key, Stream>>,
    count: usize,
    swept: Option<Instant>,
    /// Makes origins, in a way that no agent can foresee.
    origins: RandomState,
}

/// Whose metric it is, and when it came.
#[derive(Debug, Clone, Copy)]
struct Source {
    session: SessionId,
    /// What else whoever keeps metrics tells series apart by: the resource, the scope and the unit.
    origin: u64,
    now: Instant,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    origin: u64,
    metric: String,
    /// Sorted and encoded.
    attributes: Vec<u8>,
}

#[derive(Debug)]
struct Stream {
    start: u64,
    last: u64,
    seen: Instant,
    total: Total,
}

#[derive(Debug, Clone, PartialEq)]
enum Total {
    Number(f64),
    Histogram { bounds: Vec<f64>, counts: Vec<u64>, sum: f64 },
}

/// What a point says it spans.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
}

impl Streams {
    /// Makes a session's points cumulative in place and adds what is new to `series`. Answers how many points were
    /// dropped.
    pub(super) fn take(
        &mut self,
        session: SessionId,
        resources: &mut [ResourceMetrics],
        series: &AgentSeries,
        now: Instant,
    ) -> u64 {
        self.sweep(now);
        let mut lost = 0;
        for ResourceMetrics { resource, scope_metrics, .. } in resources {
            let resource = resource.as_ref().map(Message::encode_to_vec);
            for ScopeMetrics { scope, metrics, .. } in scope_metrics {
                let scope = scope.as_ref().map(Message::encode_to_vec);
                metrics.retain_mut(|metric| {
                    // Any other name could be one of the server's own, and would be taken for it.
                    if !metric.name.starts_with(PREFIX) {
                        lost += points(metric.data.as_ref());
                        return false;
                    }
                    let origin = self.origins.hash_one((&resource, &scope, &metric.unit));
                    lost += self.metric(Source { session, origin, now }, metric, series);
                    metric.data.is_some()
                });
            }
        }
        lost
    }

    fn metric(&mut self, source: Source, metric: &mut Metric, series: &AgentSeries) -> u64 {
        let name = metric.name.clone();
        match &mut metric.data {
            Some(Data::Sum(sum)) => {
                let before = sum.data_points.len();
                let is_delta = sum.aggregation_temporality == AggregationTemporality::Delta as i32;
                let is_counter = sum.is_monotonic;
                sum.data_points.retain_mut(|point| {
                    point.exemplars.clear();
                    let stream = self.stream(source, &name, &point.attributes, point.start_time_unix_nano);
                    let Some(added) = stream.and_then(|stream| stream.number(point, is_delta, is_counter))
                    else {
                        return false;
                    };
                    if is_counter {
                        series.add(&name, &point.attributes, added);
                    }
                    true
                });
                sum.aggregation_temporality = AggregationTemporality::Cumulative as i32;
                (before - sum.data_points.len()) as u64
            }
            Some(Data::Histogram(histogram)) => {
                let before = histogram.data_points.len();
                let is_delta = histogram.aggregation_temporality == AggregationTemporality::Delta as i32;
                histogram.data_points.retain_mut(|point| {
                    point.exemplars.clear();
                    let stream = self.stream(source, &name, &point.attributes, point.start_time_unix_nano);
                    // Agents that add up themselves pass as they are; ours are told not to.
                    if !is_delta {
                        return stream.is_some() && point.bucket_counts.len() <= BUCKETS_MAX;
                    }
                    let Some(delta) = stream.and_then(|stream| stream.histogram(point)) else { return false };
                    series.observe(&name, &point.attributes, &point.explicit_bounds, &delta.0, delta.1);
                    true
                });
                histogram.aggregation_temporality = AggregationTemporality::Cumulative as i32;
                (before - histogram.data_points.len()) as u64
            }
            // A gauge has nothing to add up, but whoever keeps it counts its streams too.
            Some(Data::Gauge(gauge)) => {
                let before = gauge.data_points.len();
                gauge.data_points.retain_mut(|point| {
                    point.exemplars.clear();
                    self.stream(source, &name, &point.attributes, point.start_time_unix_nano).is_some()
                });
                (before - gauge.data_points.len()) as u64
            }
            // Agents as they are do not make these, and nobody could add them up.
            Some(Data::ExponentialHistogram(_) | Data::Summary(_)) | None => {
                points(metric.data.take().as_ref())
            }
        }
    }

    /// Forgets streams that were quiet for long.
    fn sweep(&mut self, now: Instant) {
        let is_due = self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP_INTERVAL);
        if !is_due && self.count < STREAMS_MAX {
            return;
        }
        self.swept = Some(now);
        self.by_session.retain(|_, streams| {
            streams.retain(|_, stream| !stream.is_quiet(now));
            !streams.is_empty()
        });
        self.count = self.by_session.values().map(HashMap::len).sum();
    }

    /// The stream of these attributes, a new one if need be; `None` when there are too many, or they are too large.
    fn stream(
        &mut self,
        Source { session, origin, now }: Source,
        metric: &str,
        attributes: &[KeyValue],
        start: u64,
    ) -> Option<&mut Stream> {
        let key = Key::new(origin, metric, attributes)?;
        let new = || Stream { start, last: 0, seen: now, total: Total::Number(0.0) };
        let streams = self.by_session.entry(session).or_default();
        let has_room = self.count < STREAMS_MAX && streams.len() < SESSION_STREAMS_MAX;
        let stream = match streams.entry(key) {
            Entry::Occupied(known) => {
                let stream = known.into_mut();
                if stream.is_quiet(now) {
                    *stream = new();
                }
                stream
            }
            Entry::Vacant(place) if has_room => {
                self.count += 1;
                place.insert(new())
            }
            Entry::Vacant(_) => return None,
        };
        stream.seen = now;
        Some(stream)
    }
}

impl Key {
    /// `None` when it is too large to be kept.
    fn new(origin: u64, metric: &str, attributes: &[KeyValue]) -> Option<Self> {
        let bytes = attributes.iter().map(Message::encoded_len).fold(metric.len(), usize::saturating_add);
        let new = || Self { origin, metric: metric.to_owned(), attributes: encode(attributes) };
        (bytes <= KEY_BYTES_MAX).then(new)
    }
}

impl Stream {
    fn is_quiet(&self, now: Instant) -> bool {
        now.duration_since(self.seen) >= QUIET_MAX
    }

    /// Whether a point comes after all that were seen; notes it if so.
    fn advance(&mut self, span: Span) -> bool {
        let is_next = span.end > self.last && span.start >= self.start;
        if is_next {
            self.last = span.end;
        }
        is_next
    }

    /// Adds a point and puts the sum into it. Answers what it added; `None` when it cannot be added.
    fn number(&mut self, point: &mut NumberDataPoint, is_delta: bool, is_counter: bool) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts of agents are far below 2^53")]
        let value = match point.value? {
            Value::AsDouble(value) => value,
            Value::AsInt(value) => value as f64,
        };
        if !value.is_finite() || (is_counter && value < 0.0) {
            return None;
        }
        let Total::Number(before) = self.total else { return None };
        let span = Span { start: point.start_time_unix_nano, end: point.time_unix_nano };
        let (added, total) = if is_delta {
            if !self.advance(span) {
                return None;
            }
            (value, before + value)
        } else {
            // It counts by itself, and from nothing when it began anew.
            let begins_anew = span.start > self.start || value < before;
            if begins_anew {
                self.start = span.start;
            }
            if span.end <= self.last {
                return None;
            }
            self.last = span.end;
            (if begins_anew { value } else { value - before }, value)
        };
        if !total.is_finite() {
            return None;
        }
        self.total = Total::Number(total);
        point.start_time_unix_nano = self.start;
        point.value = Some(match point.value? {
            Value::AsDouble(_) => Value::AsDouble(total),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a sum of whole numbers; beyond the range it stays there"
            )]
            Value::AsInt(_) => Value::AsInt(total as i64),
        });
        Some(added)
    }

    /// The same for a histogram; answers counts and sum of what it added.
    fn histogram(&mut self, point: &mut HistogramDataPoint) -> Option<(Vec<u64>, f64)> {
        let added_sum = point.sum.unwrap_or_default();
        let is_sound = point.bucket_counts.len() == point.explicit_bounds.len() + 1
            && point.bucket_counts.len() <= BUCKETS_MAX
            && point.bucket_counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count)) == point.count
            && point.explicit_bounds.windows(2).all(|pair| pair[0] < pair[1])
            && added_sum.is_finite();
        if !is_sound {
            return None;
        }
        let span = Span { start: point.start_time_unix_nano, end: point.time_unix_nano };
        if !self.advance(span) {
            return None;
        }
        let added = point.bucket_counts.clone();
        match &mut self.total {
            Total::Histogram { bounds, counts, sum } if *bounds == point.explicit_bounds => {
                for (count, added) in counts.iter_mut().zip(&added) {
                    *count = count.saturating_add(*added);
                }
                *sum += added_sum;
            }
            // The first, or one with other bounds: the stream begins with it.
            total => {
                self.start = span.start;
                let (bounds, counts) = (point.explicit_bounds.clone(), added.clone());
                *total = Total::Histogram { bounds, counts, sum: added_sum };
            }
        }
        if let Total::Histogram { counts, sum, .. } = &self.total {
            point.bucket_counts.clone_from(counts);
            point.count = counts.iter().fold(0, |total, count| total.saturating_add(*count));
            point.sum = point.sum.map(|_| *sum);
        }
        // Of the last report, and so of nothing that is known.
        (point.min, point.max) = (None, None);
        point.start_time_unix_nano = self.start;
        Some((added, added_sum))
    }
}

/// How many points there are.
fn points(data: Option<&Data>) -> u64 {
    let count = match data {
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    };
    count as u64
}

fn encode(attributes: &[KeyValue]) -> Vec<u8> {
    let mut encoded: Vec<Vec<u8>> = attributes.iter().map(KeyValue::encode_length_delimited_to_vec).collect();
    encoded.sort_unstable();
    encoded.concat()
}
