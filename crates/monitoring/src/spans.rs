//! Spans: every one the server makes, by the OpenTelemetry conventions for HTTP and generative AI.
//!
//! | span | parent | kind |
//! |---|---|---|
//! | `GET /api/v1/…` | the caller's, by `traceparent` | server |
//! | `invoke_agent claude_code`: a turn | the request; one that had to wait is a trace of its own, linked to it | internal |
//! | `start_agent` | the turn | internal |
//! | `chat {model}`: a request to the model | the CLI's `claude_code.llm_request`, else the turn | client |
//! | `execute_tool {tool}` | the turn, or the tool whose subagent calls it | internal |
//! | `hook {event}`, verdicts of policies among them | the tool call, else the turn | internal |
//! | `approval {tool}`: a person is asked | the tool call | internal |
//!
//! What people and models wrote goes to exporters only, and only where the operator wants it: never into a field, which
//! log lines would repeat.

mod chat;
mod content;
mod request;
mod steps;
mod turn;
mod turns;

pub(crate) use self::turns::{Known, at, is_turn};
pub use self::{
    chat::{ChatSpan, chat},
    request::{Incoming, RequestSpan, request},
    steps::{Step, approval, decided, hook, start_agent, tool_began, tool_ended},
    turn::{TurnFacts, TurnSpan, turn, turn_ended},
    turns::{asked, trace_parent},
};

use crate::telemetry::{Content, Propagation};
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, Status, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of all spans here; exporters take no others.
pub(crate) const TARGET: &str = "monitoring::spans";

/// The name of agents in spans: there is one kind.
const AGENT: &str = "claude_code";
const PROVIDER: &str = "anthropic";

/// As tracing itself, this is the process's: a span is made wherever something happens, and exported or not.
static IS_ON: AtomicBool = AtomicBool::new(false);
static CAPTURES: AtomicBool = AtomicBool::new(false);
static PROPAGATES: AtomicBool = AtomicBool::new(true);

/// Says what becomes of spans from now on.
pub(crate) fn begin(is_on: bool, content: Content, propagation: Propagation) {
    IS_ON.store(is_on, Ordering::Relaxed);
    CAPTURES.store(content == Content::Captured, Ordering::Relaxed);
    PROPAGATES.store(propagation == Propagation::TraceContext, Ordering::Relaxed);
}

/// Whether spans are exported, so that what only exporters see need not be made otherwise.
fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

fn captures() -> bool {
    is_on() && CAPTURES.load(Ordering::Relaxed)
}

fn propagates() -> bool {
    PROPAGATES.load(Ordering::Relaxed)
}

/// Where this span stands, if it is exported or could be.
fn context_of(span: &Span) -> Option<SpanContext> {
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}

/// Puts a span below another, which need not be of this process. A span that nobody exports has no place.
fn below(span: &Span, parent: SpanContext) {
    let _nobody_exports = span.set_parent(Context::new().with_remote_span_context(parent));
}

fn failed(span: &Span, error_type: &str) {
    span.set_attribute("error.type", error_type.to_owned());
    // The word says it all; a description could hold what somebody wrote.
    span.set_status(Status::error(""));
}

/// The place that a W3C `traceparent` names.
fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    struct Headers<'a>(&'a str, Option<&'a str>);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            match key {
                "traceparent" => Some(self.0),
                "tracestate" => self.1,
                _ => None,
            }
        }

        fn keys(&self) -> Vec<&str> {
            vec!["traceparent", "tracestate"]
        }
    }
    let context = TraceContextPropagator::new()
        .extract_with_context(&Context::new(), &Headers(traceparent, tracestate));
    let found = context.span().span_context().clone();
    found.is_valid().then_some(found)
}

fn set_all(span: &Span, attributes: impl IntoIterator<Item = KeyValue>) {
    for KeyValue { key, value, .. } in attributes {
        span.set_attribute(key, value);
    }
}
