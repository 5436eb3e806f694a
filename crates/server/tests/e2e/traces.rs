//! One trace from the request to the tool, with the real CLI's own spans in it, at a collector that speaks OTLP.

use crate::{
    client::{Client, send},
    collector::{Collector, Manner, SeenSpan},
    world::{PASSWORD, REAL_KEY, World, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Instant;

const TRACES: [&str; 2] = ["0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"];
const CALLER: &str = "b7ad6b7169203331";
/// Said by people, models and tools, and by nobody else.
const PROMPT: &str = "xyzzy-of-the-prompt";
const OUTPUT: &str = "xyzzy-of-the-tool";
const ANSWER: &str = "xyzzy-of-the-answer";

async fn world(collector: &Collector, protocol: &str, more: &[(&str, &str)]) -> World {
    let mut settings = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=tenant-7"),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "200"),
        ("IS_SANDBOX", "1"),
    ];
    settings.extend(more);
    World::with(&settings).await
}

async fn session(user: &Client) -> String {
    user.session(json!({ "allowed_tools": ["Bash"], "permission_mode": "default" })).await
}

/// A prompt of a caller who has a trace.
async fn query_in(user: &Client, session: &str, trace: &str, message: &str) -> Value {
    let request = user.request(Method::POST, &format!("{session}/query"));
    let request = request.header("traceparent", format!("00-{trace}-{CALLER}-01"));
    send(request.json(&json!({ "message": message }))).await.ok()
}

fn with_tool() -> String {
    let call = json!({ "command": format!("echo {OUTPUT}") });
    format!("{PROMPT} [[tool:Bash {call}]][[next]][[text:{ANSWER}]]")
}

fn of<'a>(trace: &'a str, name: &'a str) -> impl Fn(&SeenSpan) -> bool + 'a {
    move |span| span.trace_id == trace && span.name.starts_with(name)
}

/// Everything of one turn stands in the trace of who asked, one below the other.
async fn is_whole(collector: &Collector, trace: &str, session: &str) {
    let request = collector.span("the request", of(trace, "POST /api/v1/sessions/{")).await;
    assert_eq!(request.parent, CALLER);
    let turn = collector.span("the turn", of(trace, "invoke_agent claude_code")).await;
    assert_eq!(turn.parent, request.span_id);
    let own = collector.span("the CLI's own", of(trace, "claude_code.interaction")).await;
    assert_eq!(own.parent, turn.span_id);
    let id = session.rsplit('/').next().unwrap();
    assert_eq!(own.resource["session.id"], id);
    assert_eq!(own.resource["service.namespace"], "steward");
    let asked = collector.span("the CLI's request", of(trace, "claude_code.llm_request")).await;
    assert_eq!(asked.parent, own.span_id);
    let chat = collector
        .span("the gateway's request", |span| of(trace, "chat ")(span) && span.parent == asked.span_id)
        .await;
    assert_eq!(chat.attributes["gen_ai.operation.name"], "chat");
    assert_eq!(chat.attributes["gen_ai.conversation.id"], id);
    assert_eq!(chat.attributes["http.response.status_code"], "200");
    assert!(chat.attributes["gen_ai.usage.output_tokens"].parse::<u64>().unwrap() > 0);
}

async fn one_trace(collector: Collector, protocol: &str) {
    let mut world = world(&collector, protocol, &[]).await;
    let user = world.admin().await;
    let session = session(&user).await;
    let [first, second] = TRACES;
    let answer = query_in(&user, &session, first, &with_tool()).await;
    assert_eq!(answer["tool_calls"][0]["status"], "completed", "{answer}");
    // The same agent, in the trace of somebody else.
    query_in(&user, &session, second, &format!("{PROMPT} [[text:{ANSWER}]]")).await;
    is_whole(&collector, first, &session).await;
    is_whole(&collector, second, &session).await;
    let turn = collector.span("the turn", of(first, "invoke_agent")).await;
    let tool = collector.span("the tool", of(first, "execute_tool Bash")).await;
    assert_eq!(tool.parent, turn.span_id);
    assert_eq!(
        tool.attributes["gen_ai.tool.call.id"],
        answer["tool_calls"][0]["tool_use_id"].as_str().unwrap()
    );
    let verdict = collector
        .span("the verdict", |span| {
            of(first, "hook PreToolUse")(span) && span.attributes["steward.hook.name"] == "permissions"
        })
        .await;
    assert_eq!(verdict.parent, tool.span_id);
    assert!(verdict.attributes.contains_key("steward.permission.verdict"), "{verdict:?}");
    let started = collector.span("the start", of(first, "start_agent")).await;
    assert_eq!(started.parent, turn.span_id);
    collector.span("the CLI's tool", of(first, "claude_code.tool")).await;
    // What agents count: whose it is, and added up.
    let id = session.rsplit('/').next().unwrap().to_owned();
    collector
        .eventually("the agent's metrics", || {
            let seen = collector.metrics();
            seen.into_iter().find(|seen| {
                seen.metric.name == "claude_code.token.usage"
                    && seen.resource.get("session.id") == Some(&id)
                    && format!("{:?}", seen.metric.data).contains("aggregation_temporality: Cumulative")
            })
        })
        .await;
    world.stop().await;
    for secret in [PROMPT, OUTPUT, ANSWER] {
        assert!(!collector.has_seen(secret), "{secret} was exported");
    }
    let token = user.token.clone().unwrap();
    for secret in [REAL_KEY, PASSWORD, &token] {
        assert!(!collector.has_seen(secret), "a secret was exported");
        assert!(!world.log().contains(secret), "a secret was logged");
    }
    assert!(!world.log().contains("tenant-7"), "headers are secrets");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_from_the_request_to_the_tool_over_http() {
    one_trace(Collector::http().await, "http/protobuf").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_from_the_request_to_the_tool_over_grpc() {
    one_trace(Collector::grpc().await, "grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_exported_where_the_operator_wants_it() {
    let collector = Collector::http().await;
    let wanted = [("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")];
    let mut world = world(&collector, "http/protobuf", &wanted).await;
    let user = world.admin().await;
    let session = session(&user).await;
    query_in(&user, &session, TRACES[0], &with_tool()).await;
    let turn = collector.span("the turn", of(TRACES[0], "invoke_agent")).await;
    assert!(turn.attributes["gen_ai.input.messages"].contains(PROMPT));
    assert!(turn.attributes["gen_ai.output.messages"].contains(ANSWER));
    let tool = collector.span("the tool", of(TRACES[0], "execute_tool")).await;
    assert!(tool.attributes["gen_ai.tool.call.result"].contains(OUTPUT));
    let own = collector.span("the CLI's own", of(TRACES[0], "claude_code.interaction")).await;
    assert!(own.attributes["user_prompt"].contains(PROMPT), "{own:?}");
    world.stop().await;
    assert!(!world.log().contains(PROMPT), "log lines have none of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_go_on_whatever_becomes_of_the_collector() {
    for manner in [Manner::Hangs, Manner::Refuses] {
        let collector = Collector::http_that(manner).await;
        let mut world = world(&collector, "http/protobuf", &[("OTEL_EXPORTER_OTLP_TIMEOUT", "500")]).await;
        let user = world.admin().await;
        let session = session(&user).await;
        for _ in 0..3 {
            query_in(&user, &session, TRACES[0], &format!("[[text:{ANSWER}]]")).await;
        }
        eventually("somebody was asked to take it", async || (collector.requests() > 0).then_some(())).await;
        eventually("the loss is said", async || world.log().contains("telemetry was dropped").then_some(()))
            .await;
        let started = Instant::now();
        world.stop().await;
        assert!(started.elapsed().as_secs() < 30, "the end is bounded: {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_and_problems_name_the_trace() {
    let collector = Collector::http().await;
    let mut world = world(&collector, "http/protobuf", &[("LOG_FORMAT", "json")]).await;
    let user = world.admin().await;
    let request = user.request(Method::GET, "/sessions/0197a0b0-0000-7000-8000-000000000000");
    let problem = send(request.header("traceparent", format!("00-{}-{CALLER}-01", TRACES[0]))).await;
    assert_eq!(problem.body["trace_id"], TRACES[0], "{problem:?}");
    let own = user.get("/sessions/0197a0b0-0000-7000-8000-000000000000").await;
    let trace = own.body["trace_id"].as_str().unwrap().to_owned();
    let span = collector.span("the request", |span| span.trace_id == trace).await;
    let line = eventually("its log line", async || {
        let log = world.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == "answered" && line["trace_id"] == trace.as_str())
    })
    .await;
    assert_eq!(line["span_id"], span.span_id.as_str());
    let record = collector
        .eventually("its log record", || collector.records().into_iter().find(|one| one.trace_id == trace))
        .await;
    assert_eq!(record.span_id, span.span_id);
    world.stop().await;
}
