//! What reaches a collector, over both protocols, and what happens when it does not.
//!
//! Each test is a process of its own, because there is one subscriber in a process.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "export/collector.rs"]
mod collector;

use self::collector::{Collector, Manner, SeenSpan};
use domain::{
    AgentScope, MicroUsd, RequestUsage, RequestUsageId, SessionId, TokenUsage, ToolCallStatus, TurnId,
    UserId, ports::TelemetrySignal,
};
use jiff::Timestamp;
use monitoring::{
    Telemetry, TelemetrySettings,
    spans::{self, Incoming, TurnFacts},
    telemetry::{
        AgentReports, BatchSettings, ClientCertificate, Compression, Content, ExportSettings, Propagation,
        Protocol, Sampler, ServiceSettings, Share, TlsSettings,
    },
};
use serde_json::json;
use std::time::{Duration, Instant};
use testkit::{TestAuthority, TlsFront};
use tracing::Instrument;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

fn export(url: &str, protocol: Protocol, path: &str) -> ExportSettings {
    let endpoint = match protocol {
        Protocol::Grpc => url.to_owned(),
        Protocol::HttpProtobuf => format!("{url}/v1/{path}"),
    };
    ExportSettings {
        endpoint,
        protocol,
        headers: vec![("x-tenant".to_owned(), "tenant-7".into())],
        timeout: Duration::from_secs(10),
        compression: Compression::Gzip,
        tls: TlsSettings::default(),
    }
}

fn settings(url: &str, protocol: Protocol) -> TelemetrySettings {
    let batches = BatchSettings { delay: Duration::from_millis(50), queue_max: 100, batch_max: 10 };
    TelemetrySettings {
        filter: "info".parse().unwrap(),
        format: None,
        service: ServiceSettings {
            name: "steward".to_owned(),
            version: "0".to_owned(),
            attributes: vec![("deployment.environment.name".to_owned(), "test".to_owned())],
        },
        traces: Some(export(url, protocol, "traces")),
        metrics: Some(export(url, protocol, "metrics")),
        logs: Some(export(url, protocol, "logs")),
        sampler: Sampler::ParentBased(Share::All),
        span_batches: batches,
        log_batches: batches,
        metric_interval: Duration::from_millis(100),
        propagation: Propagation::TraceContext,
        content: Content::Hidden,
        agents: AgentReports::On,
    }
}

fn usage(scope: AgentScope) -> RequestUsage {
    RequestUsage {
        id: RequestUsageId::new(),
        session_id: scope.session_id,
        user_id: scope.user_id,
        turn_id: None,
        model: "claude-sonnet-4-5-20250929".to_owned(),
        tokens: TokenUsage { input: 10, output: 5, cache_write_5m: 100, cache_write_1h: 0, cache_read: 1000 },
        thinking_tokens: 0,
        tools: vec![],
        cost: MicroUsd(42),
        price_version: "1".to_owned(),
        is_priced: true,
        is_complete: true,
        is_estimated: false,
        http_status: 200,
        stop_reason: Some("end_turn".to_owned()),
        started_at: Timestamp::UNIX_EPOCH,
        duration_ms: 1,
    }
}

/// A request, its turn, and everything that happens in one.
async fn play() -> AgentScope {
    let scope = AgentScope { session_id: SessionId::new(), user_id: UserId::new() };
    let turn_id = TurnId::new();
    let request = spans::request(Incoming {
        method: "POST",
        route: Some("/api/v1/sessions/{session_id}/query"),
        request_id: "r1",
        traceparent: Some(CALLER),
        tracestate: Some("vendor=1"),
    });
    assert_eq!(request.trace_id(), TRACE);
    let facts = TurnFacts {
        turn_id,
        session_id: scope.session_id,
        user_id: scope.user_id,
        mode: "interactive",
        model: Some("claude-sonnet-4-5"),
    };
    let turn = request.span().in_scope(|| spans::turn(facts, &json!("the secret prompt")));
    async {
        tracing::info!("within the turn");
        spans::tool_began(turn_id, "toolu_1", "Bash", &json!({ "command": "the secret command" }), None);
        let hook = spans::hook(Some(turn_id), Some("toolu_1"), "PreToolUse", "permissions", Some("Bash"));
        hook.end("completed");
        spans::tool_began(turn_id, "toolu_2", "Read", &json!({}), Some("toolu_1"));
        spans::tool_ended(turn_id, "toolu_2", ToolCallStatus::Failed, &json!("the secret output"));
        spans::tool_ended(turn_id, "toolu_1", ToolCallStatus::Completed, &json!("the secret output"));
        spans::chat(scope, Some(turn_id), Some("claude-sonnet-4-5"), None).end(&usage(scope));
        spans::turn_ended("completed", None, Some("the secret answer"));
    }
    .instrument(turn.span())
    .await;
    request.answered(200);
    scope
}

async fn shut_down(telemetry: Telemetry) {
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await.unwrap();
}

fn named<'a>(spans: &'a [SeenSpan], name: &str) -> &'a SeenSpan {
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} among {names:?}"))
}

/// The same over both protocols.
async fn everything_arrives(collector: Collector, protocol: Protocol) {
    arrives(&collector, settings(&collector.url, protocol)).await;
}

async fn arrives(collector: &Collector, settings: TelemetrySettings) {
    let telemetry = monitoring::init(settings).unwrap();
    let scope = play().await;
    shut_down(telemetry).await;
    let spans = collector.spans();
    let request = named(&spans, "POST /api/v1/sessions/{session_id}/query");
    assert_eq!((request.trace_id.as_str(), request.parent.as_str()), (TRACE, "b7ad6b7169203331"));
    assert_eq!(request.kind, SERVER);
    assert_eq!(request.attributes["http.route"], "/api/v1/sessions/{session_id}/query");
    assert_eq!(request.attributes["http.response.status_code"], "200");
    assert_eq!(request.resource["service.name"], "steward");
    assert_eq!(request.resource["deployment.environment.name"], "test");
    let turn = named(&spans, "invoke_agent claude_code");
    assert_eq!((&turn.trace_id, &turn.parent), (&request.trace_id, &request.span_id));
    assert_eq!(turn.attributes["gen_ai.operation.name"], "invoke_agent");
    assert_eq!(turn.attributes["gen_ai.conversation.id"], scope.session_id.to_string());
    let tool = named(&spans, "execute_tool Bash");
    assert_eq!(tool.parent, turn.span_id);
    assert_eq!(tool.attributes["gen_ai.tool.name"], "Bash");
    assert_eq!(tool.attributes["gen_ai.tool.call.id"], "toolu_1");
    assert_eq!(named(&spans, "hook PreToolUse").parent, tool.span_id);
    let within = named(&spans, "execute_tool Read");
    assert_eq!((&within.parent, within.status), (&tool.span_id, 2));
    assert_eq!(within.attributes["error.type"], "failed");
    let chat = named(&spans, "chat claude-sonnet-4-5");
    assert_eq!((&chat.parent, chat.kind), (&turn.span_id, CLIENT));
    assert_eq!(chat.attributes["gen_ai.request.model"], "claude-sonnet-4-5");
    assert_eq!(chat.attributes["gen_ai.response.model"], "claude-sonnet-4-5-20250929");
    assert_eq!(chat.attributes["gen_ai.usage.input_tokens"], "1110");
    assert_eq!(chat.attributes["gen_ai.usage.output_tokens"], "5");
    assert_eq!(chat.attributes["gen_ai.response.finish_reasons"], "end_turn");
    // Log records say where they belong, and headers came along; content did not.
    let record = collector.records().into_iter().find(|record| record.body == "within the turn").unwrap();
    assert_eq!((&record.trace_id, &record.span_id), (&turn.trace_id, &turn.span_id));
    assert_eq!(record.attributes["session_id"], scope.session_id.to_string());
    assert!(collector.has_seen("tenant-7"));
    assert!(!collector.has_seen("the secret"), "content was not asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_log_records_arrive_over_http() {
    everything_arrives(Collector::http().await, Protocol::HttpProtobuf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_log_records_arrive_over_grpc() {
    everything_arrives(Collector::grpc().await, Protocol::Grpc).await;
}

/// A collector that speaks TLS only, under an authority that no system knows, and wants to know who comes.
async fn behind_tls(collector: &Collector, protocol: Protocol) -> (TlsFront, TestAuthority) {
    let authority = TestAuthority::new().unwrap();
    let spoken = match protocol {
        Protocol::Grpc => "h2",
        Protocol::HttpProtobuf => "http/1.1",
    };
    let address = collector.url.strip_prefix("http://").unwrap().parse().unwrap();
    (TlsFront::before(address, spoken, &authority).await.unwrap(), authority)
}

fn over_tls(url: &str, protocol: Protocol, tls: &TlsSettings) -> TelemetrySettings {
    let mut settings = settings(url, protocol);
    for export in [&mut settings.traces, &mut settings.logs, &mut settings.metrics].into_iter().flatten() {
        export.tls = tls.clone();
    }
    settings
}

fn known_to(authority: &TestAuthority) -> TlsSettings {
    let (certificate, key) = authority.client();
    TlsSettings {
        certificate: Some(authority.certificate()),
        client: Some(ClientCertificate { certificate, key }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_log_records_arrive_over_http_with_tls() {
    let collector = Collector::http().await;
    let (front, authority) = behind_tls(&collector, Protocol::HttpProtobuf).await;
    arrives(&collector, over_tls(&front.url, Protocol::HttpProtobuf, &known_to(&authority))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_log_records_arrive_over_grpc_with_tls() {
    let collector = Collector::grpc().await;
    let (front, authority) = behind_tls(&collector, Protocol::Grpc).await;
    arrives(&collector, over_tls(&front.url, Protocol::Grpc, &known_to(&authority))).await;
}

/// What is sent to a collector over TLS like this never gets there, and is counted.
async fn nothing_arrives(collector: &Collector, front: &TlsFront, protocol: Protocol, tls: &TlsSettings) {
    let telemetry = monitoring::init(over_tls(&front.url, protocol, tls)).unwrap();
    play().await;
    let drops = telemetry.drops();
    shut_down(telemetry).await;
    assert!(drops.of(TelemetrySignal::Traces) > 0, "{protocol:?}");
    assert_eq!(collector.requests(), 0, "{protocol:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_to_a_collector_that_is_not_trusted_over_http() {
    let (collector, protocol) = (Collector::http().await, Protocol::HttpProtobuf);
    let (front, authority) = behind_tls(&collector, protocol).await;
    // That of the system does not know it; that it is not asked beside another one is what the next test says.
    let tls = TlsSettings { certificate: None, ..known_to(&authority) };
    nothing_arrives(&collector, &front, protocol, &tls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_to_a_collector_that_is_not_trusted_over_grpc() {
    let (collector, protocol) = (Collector::grpc().await, Protocol::Grpc);
    let (front, authority) = behind_tls(&collector, protocol).await;
    let other = TestAuthority::new().unwrap();
    let tls = TlsSettings { certificate: Some(other.certificate()), ..known_to(&authority) };
    nothing_arrives(&collector, &front, protocol, &tls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_wants_to_know_who_comes_turns_away_who_does_not_say() {
    let (collector, protocol) = (Collector::http().await, Protocol::HttpProtobuf);
    let (front, authority) = behind_tls(&collector, protocol).await;
    let tls = TlsSettings { client: None, ..known_to(&authority) };
    nothing_arrives(&collector, &front, protocol, &tls).await;
}

#[test]
fn files_that_hold_no_certificate_are_told_by_name_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, missing) = (folder.path().join("empty.pem"), folder.path().join("missing.pem"));
    std::fs::write(&empty, "no certificate").unwrap();
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        for path in [&empty, &missing] {
            let tls = TlsSettings { certificate: Some(path.clone()), client: None };
            let error = monitoring::init(over_tls("https://localhost:1", protocol, &tls)).unwrap_err();
            let said = format!("{error:?} {error}");
            assert!(said.contains(path.to_str().unwrap()), "{said}");
            let client = ClientCertificate { certificate: path.clone(), key: path.clone() };
            let tls = TlsSettings { certificate: None, client: Some(client) };
            monitoring::init(over_tls("https://localhost:1", protocol, &tls)).unwrap_err();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_arrives_where_it_is_wanted() {
    let collector = Collector::http().await;
    let mut settings = settings(&collector.url, Protocol::HttpProtobuf);
    settings.content = Content::Captured;
    let telemetry = monitoring::init(settings).unwrap();
    play().await;
    shut_down(telemetry).await;
    let spans = collector.spans();
    let turn = named(&spans, "invoke_agent claude_code");
    assert!(turn.attributes["gen_ai.input.messages"].contains("the secret prompt"));
    assert!(turn.attributes["gen_ai.output.messages"].contains("the secret answer"));
    let tool = named(&spans, "execute_tool Bash");
    assert!(tool.attributes["gen_ai.tool.call.arguments"].contains("the secret command"));
    assert_eq!(tool.attributes["gen_ai.tool.call.result"], "the secret output");
    // In log records it is never.
    assert!(collector.records().iter().all(|record| !format!("{record:?}").contains("the secret")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_had_to_wait_is_linked_to_who_asked() {
    let collector = Collector::http().await;
    let telemetry = monitoring::init(settings(&collector.url, Protocol::HttpProtobuf)).unwrap();
    let turn_id = TurnId::new();
    let incoming =
        Incoming { method: "POST", route: Some("/q"), request_id: "r", traceparent: None, tracestate: None };
    let request = spans::request(incoming);
    request.span().in_scope(|| spans::asked(turn_id));
    request.answered(202);
    drop(request);
    let (session_id, user_id) = (SessionId::new(), UserId::new());
    let facts = TurnFacts { turn_id, session_id, user_id, mode: "background", model: None };
    drop(spans::turn(facts, &json!("p")));
    shut_down(telemetry).await;
    let spans = collector.spans();
    let (request, turn) = (named(&spans, "POST /q"), named(&spans, "invoke_agent claude_code"));
    assert_ne!(turn.trace_id, request.trace_id);
    assert_eq!(turn.parent, "");
    assert_eq!(turn.links, [(request.trace_id.clone(), request.span_id.clone())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_does_not_record_is_not_recorded_here() {
    let collector = Collector::http().await;
    let telemetry = monitoring::init(settings(&collector.url, Protocol::HttpProtobuf)).unwrap();
    let unsampled = CALLER.replace("-01", "-00");
    let incoming = Incoming {
        method: "GET",
        route: Some("/unsampled"),
        request_id: "r",
        traceparent: Some(&unsampled),
        tracestate: None,
    };
    assert_eq!(spans::request(incoming).trace_id(), TRACE, "its id is known all the same");
    let incoming = Incoming { route: Some("/sampled"), traceparent: None, ..incoming };
    drop(spans::request(incoming));
    shut_down(telemetry).await;
    let names: Vec<String> = collector.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /sampled"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_a_provider_are_exported_beside_whatever_else_reads_them() {
    use opentelemetry::metrics::MeterProvider;
    let collector = Collector::grpc().await;
    let telemetry = monitoring::init(settings(&collector.url, Protocol::Grpc)).unwrap();
    let builder = opentelemetry_sdk::metrics::SdkMeterProvider::builder();
    let provider = telemetry.export_metrics(builder).build();
    provider.meter("steward").u64_counter("steward_things").build().add(3, &[]);
    let seen = collector.eventually("the counter", || {
        collector.metrics().into_iter().find(|seen| seen.metric.name == "steward_things")
    });
    let seen = seen.await;
    assert_eq!(seen.resource["service.name"], "steward");
    // Several servers at one collector are told apart by it.
    assert_eq!(seen.resource["service.instance.id"].parse::<uuid::Uuid>().unwrap().get_version_num(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_calls_a_server_holds() {
    let collector = Collector::http().await;
    let mut settings = settings(&collector.url, Protocol::HttpProtobuf);
    settings.service.attributes.push(("service.instance.id".to_owned(), "west-1".to_owned()));
    let telemetry = monitoring::init(settings).unwrap();
    play().await;
    shut_down(telemetry).await;
    assert!(!collector.spans().is_empty());
    assert!(collector.spans().iter().all(|span| span.resource["service.instance.id"] == "west-1"));
}

/// Makes more than can wait, and looks how long that takes and what is lost.
async fn nothing_else_notices(url: &str) {
    let mut settings = settings(url, Protocol::HttpProtobuf);
    for export in [&mut settings.traces, &mut settings.logs, &mut settings.metrics].into_iter().flatten() {
        export.timeout = Duration::from_millis(300);
    }
    let telemetry = monitoring::init(settings).unwrap();
    let drops = telemetry.drops();
    let started = Instant::now();
    for _ in 0..1_000 {
        let incoming =
            Incoming { method: "GET", route: None, request_id: "r", traceparent: None, tracestate: None };
        drop(spans::request(incoming));
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "who makes spans does not wait: {took:?}");
    let lost = tokio::task::spawn_blocking(move || {
        telemetry.shutdown();
        telemetry.drops().of(TelemetrySignal::Traces)
    });
    let lost = lost.await.unwrap();
    let ended = started.elapsed();
    assert!(ended < Duration::from_secs(15), "the end is bounded: {ended:?}");
    assert!(lost >= 900, "{lost} of 1000 were counted as lost");
    assert_eq!(lost, drops.of(TelemetrySignal::Traces));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_costs_telemetry_and_nothing_else() {
    // A port that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    nothing_else_notices(&format!("http://127.0.0.1:{port}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_costs_telemetry_and_nothing_else() {
    let collector = Collector::http_that(Manner::Hangs).await;
    nothing_else_notices(&collector.url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_costs_telemetry_and_nothing_else() {
    let collector = Collector::http_that(Manner::Refuses).await;
    nothing_else_notices(&collector.url).await;
    assert!(collector.requests() > 0);
}
