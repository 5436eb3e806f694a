//! What agents report, read and stamped, and what comes of reports that do not add up.

use super::*;
use domain::{SessionId, UserId};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prometheus::{Encoder, Registry, TextEncoder};
use std::time::Duration;

const DELTA: i32 = AggregationTemporality::Delta as i32;
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn point(start: u64, end: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![attribute("type", "input"), attribute("session.id", "s")],
        start_time_unix_nano: start,
        time_unix_nano: end,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn report(name: &str, data: Data) -> Vec<ResourceMetrics> {
    let metric = Metric { name: name.to_owned(), data: Some(data), ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }]
}

fn sum(temporality: i32, points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic: true })
}

/// Streams of one session, and what is shown of them.
struct Bench {
    streams: Streams,
    series: AgentSeries,
    session: SessionId,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let (streams, series) = (Streams::default(), AgentSeries::default());
        Self { streams, series, session: SessionId::new(), now: Instant::now() }
    }

    /// Start and value of the points that go on, and how many were lost.
    fn take(&mut self, temporality: i32, points: Vec<NumberDataPoint>) -> (Vec<(u64, f64)>, u64) {
        let mut report = report("claude_code.token.usage", sum(temporality, points));
        let lost = self.streams.take(self.session, &mut report, &self.series, self.now);
        let Some(Data::Sum(sum)) = &report[0].scope_metrics[0].metrics[0].data else { panic!("a sum") };
        assert_eq!(sum.aggregation_temporality, CUMULATIVE);
        let points = sum.data_points.iter().map(|point| match point.value {
            Some(Value::AsDouble(value)) => (point.start_time_unix_nano, value),
            other => panic!("{other:?}"),
        });
        (points.collect(), lost)
    }

    fn scrape(&self) -> String {
        let registry = Registry::new();
        registry.register(Box::new(self.series.clone())).unwrap();
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }
}

#[test]
fn deltas_add_up_from_the_start_of_their_stream() {
    let mut bench = Bench::new();
    assert_eq!(bench.take(DELTA, vec![point(10, 20, 5.0)]), (vec![(10, 5.0)], 0));
    assert_eq!(bench.take(DELTA, vec![point(20, 30, 7.0)]), (vec![(10, 12.0)], 0));
    assert_eq!(bench.take(DELTA, vec![point(40, 50, 1.0)]), (vec![(10, 13.0)], 0), "a gap is no matter");
}

#[test]
fn what_does_not_add_up_is_dropped_and_counted() {
    let mut bench = Bench::new();
    bench.take(DELTA, vec![point(10, 20, 5.0)]);
    assert_eq!(bench.take(DELTA, vec![point(10, 20, 5.0)]), (vec![], 1), "the same again");
    assert_eq!(bench.take(DELTA, vec![point(12, 15, 5.0)]), (vec![], 1), "out of order");
    assert_eq!(bench.take(DELTA, vec![point(5, 30, 5.0)]), (vec![], 1), "from before the stream began");
    assert_eq!(bench.take(DELTA, vec![point(20, 30, -5.0)]), (vec![], 1), "a counter goes up");
    assert_eq!(bench.take(DELTA, vec![point(20, 30, f64::NAN)]), (vec![], 1));
    assert_eq!(bench.take(DELTA, vec![point(20, 30, f64::INFINITY)]), (vec![], 1));
    assert_eq!(
        bench.take(DELTA, vec![point(20, 30, 1.0)]),
        (vec![(10, 6.0)], 0),
        "it goes on after all that"
    );
    assert!(
        bench.scrape().contains(r#"claude_code_token_usage_total{type="input"} 6"#),
        "{}",
        bench.scrape()
    );
}

#[test]
fn a_stream_that_was_quiet_for_long_begins_anew_and_the_total_goes_on() {
    let mut bench = Bench::new();
    bench.take(DELTA, vec![point(10, 20, 5.0)]);
    bench.now += Duration::from_secs(3_600);
    assert_eq!(bench.take(DELTA, vec![point(20, 30, 2.0)]), (vec![(20, 2.0)], 0));
    assert!(bench.scrape().contains(r#"claude_code_token_usage_total{type="input"} 7"#));
}

#[test]
fn an_agent_that_adds_up_itself_passes_and_its_resets_are_seen() {
    let mut bench = Bench::new();
    assert_eq!(bench.take(CUMULATIVE, vec![point(10, 20, 5.0)]), (vec![(10, 5.0)], 0));
    assert_eq!(bench.take(CUMULATIVE, vec![point(10, 30, 8.0)]), (vec![(10, 8.0)], 0));
    assert_eq!(bench.take(CUMULATIVE, vec![point(40, 50, 3.0)]), (vec![(40, 3.0)], 0), "it began anew");
    assert!(bench.scrape().contains(r#"claude_code_token_usage_total{type="input"} 11"#));
}

#[test]
fn sessions_and_attributes_are_streams_of_their_own_and_one_series() {
    let mut bench = Bench::new();
    bench.take(DELTA, vec![point(10, 20, 5.0)]);
    bench.session = SessionId::new();
    assert_eq!(bench.take(DELTA, vec![point(5, 9, 2.0)]), (vec![(5, 2.0)], 0));
    let scrape = bench.scrape();
    assert!(scrape.contains(r#"claude_code_token_usage_total{type="input"} 7"#), "{scrape}");
    assert!(!scrape.contains("session_id"), "{scrape}");
}

#[test]
fn histograms_add_up_while_their_bounds_hold() {
    let mut bench = Bench::new();
    let of = |start, end, counts: [u64; 2], total| HistogramDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: end,
        count: counts.iter().sum(),
        sum: Some(total),
        bucket_counts: counts.to_vec(),
        explicit_bounds: vec![1.0],
        min: Some(0.1),
        ..HistogramDataPoint::default()
    };
    let mut take = |point: HistogramDataPoint| {
        let data = Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: DELTA });
        let mut report = report("claude_code.tool.duration", data);
        let lost = bench.streams.take(bench.session, &mut report, &bench.series, bench.now);
        let Some(Data::Histogram(histogram)) = &report[0].scope_metrics[0].metrics[0].data else { panic!() };
        (histogram.data_points.first().map(|point| (point.bucket_counts.clone(), point.sum, point.min)), lost)
    };
    assert_eq!(take(of(1, 2, [1, 0], 0.5)), (Some((vec![1, 0], Some(0.5), None)), 0));
    assert_eq!(take(of(2, 3, [0, 2], 5.0)), (Some((vec![1, 2], Some(5.5), None)), 0));
    assert_eq!(take(HistogramDataPoint { count: 9, ..of(3, 4, [1, 1], 1.0) }).1, 1, "it does not add up");
    let scrape = bench.scrape();
    assert!(scrape.contains(r#"claude_code_tool_duration_bucket{le="1"} 1"#), "{scrape}");
    assert!(scrape.contains("claude_code_tool_duration_count 3"), "{scrape}");
}

#[test]
fn gauges_pass_and_foreign_names_are_not_shown() {
    let mut bench = Bench::new();
    let gauge = Data::Gauge(Gauge { data_points: vec![point(0, 5, 1.0)] });
    let mut gauges = report("claude_code.something", gauge.clone());
    assert_eq!(bench.streams.take(bench.session, &mut gauges, &bench.series, bench.now), 0);
    assert_eq!(gauges[0].scope_metrics[0].metrics[0].data, Some(gauge));
    for name in ["claude_code.a{b=\"c\"}", "claude_code.a\nb 1"] {
        let mut foreign = report(name, sum(DELTA, vec![point(1, 2, 1.0)]));
        bench.streams.take(bench.session, &mut foreign, &bench.series, bench.now);
    }
    for name in ["steward_cost_usd_total", "steward.ledger.failures", "up", ""] {
        let one = vec![point(1, 2, 1.0)];
        for data in
            [sum(DELTA, one.clone()), sum(CUMULATIVE, one.clone()), Data::Gauge(Gauge { data_points: one })]
        {
            let mut foreign = report(name, data);
            assert_eq!(bench.streams.take(bench.session, &mut foreign, &bench.series, bench.now), 1);
            assert_eq!(foreign[0].scope_metrics[0].metrics, [], "{name} goes on");
        }
    }
    assert_eq!(bench.scrape(), "");
}

#[test]
fn what_has_not_to_be_added_up_is_bounded_as_well() {
    let histogram = |point: NumberDataPoint| HistogramDataPoint {
        attributes: point.attributes,
        start_time_unix_nano: point.start_time_unix_nano,
        time_unix_nano: point.time_unix_nano,
        ..HistogramDataPoint::default()
    };
    let many: Vec<_> = (0..1_007).map(|n| named(&[("n", &format!("{n}"))], 1)).collect();
    let histograms = many.iter().cloned().map(histogram).collect();
    for data in [
        Data::Gauge(Gauge { data_points: many }),
        Data::Histogram(Histogram { data_points: histograms, aggregation_temporality: CUMULATIVE }),
    ] {
        let mut bench = Bench::new();
        let mut many = report("claude_code.something", data);
        assert_eq!(bench.streams.take(bench.session, &mut many, &bench.series, bench.now), 7);
        assert_eq!(points(&many), 1_000);
    }
    let large = HistogramDataPoint { bucket_counts: vec![1; 201], ..histogram(point(1, 2, 1.0)) };
    let large = Histogram { data_points: vec![large], aggregation_temporality: CUMULATIVE };
    let mut large = report("claude_code.something", Data::Histogram(large));
    let mut bench = Bench::new();
    assert_eq!(bench.streams.take(bench.session, &mut large, &bench.series, bench.now), 1);
    // What tells series apart beside their attributes is bounded with them.
    let mut bench = Bench::new();
    let mut lost = 0;
    for n in 0..1_007_u64 {
        let mut one = report("claude_code.something", sum(DELTA, vec![point(n, n + 1, 1.0)]));
        let word = format!("{n}");
        match n % 3 {
            0 => one[0].resource.get_or_insert_default().attributes = vec![attribute("service.name", &word)],
            1 => one[0].scope_metrics[0].scope.get_or_insert_default().name = word,
            _ => one[0].scope_metrics[0].metrics[0].unit = word,
        }
        lost += bench.streams.take(bench.session, &mut one, &bench.series, bench.now);
    }
    assert_eq!(lost, 7);
}

fn points(report: &[ResourceMetrics]) -> usize {
    match &report[0].scope_metrics[0].metrics[0].data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn agents_cannot_make_series_without_end() {
    let mut bench = Bench::new();
    for n in 0..1_500_u64 {
        // No session has as many streams.
        if n % 500 == 0 {
            bench.session = SessionId::new();
        }
        let mut one = point(1, 2, 1.0);
        one.attributes.push(attribute("model", &format!("model-{n}")));
        bench.take(DELTA, vec![one]);
    }
    let scrape = bench.scrape();
    assert_eq!(scrape.lines().filter(|line| line.starts_with("claude_code_")).count(), 1_001);
    assert!(scrape.contains(r#"otel_metric_overflow="true"} 500"#), "nothing is lost");
}

fn named(attributes: &[(&str, &str)], start: u64) -> NumberDataPoint {
    let attributes = attributes.iter().map(|(key, value)| attribute(key, value)).collect();
    NumberDataPoint { attributes, ..point(start, start + 1, 1.0) }
}

#[test]
fn a_stream_with_large_attributes_is_lost_and_not_kept() {
    let mut bench = Bench::new();
    let (some, more) = ("x".repeat(3_000), "x".repeat(5_000));
    for (large, lost) in [
        (named(&[("a", &some)], 1), 0),
        (named(&[("a", &more)], 1), 1),
        (named(&[(&more, "a")], 1), 1),
        (named(&[("a", &some), ("b", &some)], 1), 1),
        (named(&[("", ""); 3_000], 1), 1),
    ] {
        assert_eq!(bench.take(DELTA, vec![large]).1, lost);
    }
    let mut long = report(&more, sum(DELTA, vec![point(1, 2, 1.0)]));
    assert_eq!(bench.streams.take(bench.session, &mut long, &bench.series, bench.now), 1);
}

#[test]
fn a_session_has_its_share_of_streams_until_they_are_quiet() {
    let mut bench = Bench::new();
    let many = |from: u64, count: u64| {
        (from..from + count).map(|n| named(&[("n", &n.to_string())], 1)).collect::<Vec<_>>()
    };
    assert_eq!(bench.take(DELTA, many(0, 1_007)).1, 7);
    assert_eq!(bench.take(DELTA, vec![named(&[("n", "0")], 2)]), (vec![(1, 2.0)], 0), "those it has go on");

    let crowded = std::mem::replace(&mut bench.session, SessionId::new());
    assert_eq!(bench.take(DELTA, many(0, 1_000)).1, 0, "another session has as many");

    bench.session = crowded;
    bench.now += Duration::from_secs(599);
    assert_eq!(bench.take(DELTA, many(2_000, 1)).1, 1);
    bench.now += Duration::from_secs(61);
    assert_eq!(bench.take(DELTA, many(2_000, 1_000)).1, 0, "those that were quiet are gone");
}

#[test]
fn all_sessions_together_have_a_bounded_number_of_streams() {
    let mut bench = Bench::new();
    let many = |count: u64| (0..count).map(|n| named(&[("n", &n.to_string())], 1)).collect::<Vec<_>>();
    for _ in 0..20 {
        bench.session = SessionId::new();
        assert_eq!(bench.take(DELTA, many(1_000)).1, 0);
    }
    bench.session = SessionId::new();
    assert_eq!(bench.take(DELTA, many(3)).1, 3);
    bench.now += Duration::from_secs(600);
    assert_eq!(bench.take(DELTA, many(3)).1, 0);
}

fn stamped(content: Content, span: Span) -> (Vec<KeyValue>, Vec<Span>) {
    let scope = AgentScope { session_id: SessionId(uuid::Uuid::nil()), user_id: UserId(uuid::Uuid::nil()) };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let mut resources = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    resources[0].resource.get_or_insert_default().attributes = vec![attribute("user.id", "somebody else")];
    Stamp { scope, service: "steward", content }.spans(&mut resources);
    let one = resources.remove(0);
    let spans = one.scope_spans.into_iter().flat_map(|scope| scope.spans).collect();
    (one.resource.unwrap_or_default().attributes, spans)
}

#[test]
fn what_an_agent_says_of_who_it_is_is_replaced() {
    let (resource, _) = stamped(Content::Hidden, Span::default());
    let nil = uuid::Uuid::nil().to_string();
    let users: Vec<_> = resource.iter().filter(|one| one.key == "user.id").collect();
    assert_eq!(users, [&attribute("user.id", &nil)]);
    assert!(resource.contains(&attribute("session.id", &nil)));
    assert!(resource.contains(&attribute("service.namespace", "steward")));
}

#[test]
fn content_is_taken_out_unless_it_is_wanted() {
    let attributes = vec![
        attribute("user_prompt", "the secret"),
        attribute("prompt", "<REDACTED>"),
        attribute("new_kind_of_content", &"long ".repeat(100)),
        attribute("model", "claude"),
    ];
    let event = opentelemetry_proto::tonic::trace::v1::span::Event {
        name: "tool.output".to_owned(),
        attributes: vec![attribute("output", &"x".repeat(300)), attribute("body", "short")],
        ..Default::default()
    };
    let span = Span { attributes, events: vec![event], ..Span::default() };
    let (_, hidden) = stamped(Content::Hidden, span.clone());
    let keys: Vec<&str> = hidden[0].attributes.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["prompt", "model", "gen_ai.conversation.id"]);
    assert_eq!(hidden[0].events[0].attributes, []);
    let (_, captured) = stamped(Content::Captured, span.clone());
    let keys: Vec<&str> = captured[0].attributes.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["user_prompt", "prompt", "new_kind_of_content", "model", "gen_ai.conversation.id"]);
    assert_eq!(captured[0].events, span.events);
}
