//! The span of one request to the model, as the gateway sees it.

use super::{PROVIDER, below, failed, is_on, parse, set_all, turns};
use domain::{AgentScope, RequestUsage, TurnId};
use opentelemetry::{
    Array, KeyValue, StringValue, Value,
    trace::{SpanContext, TraceState},
};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The span of a request to the model that is under way.
#[derive(Debug)]
pub struct ChatSpan(Span);

/// Begins the span of a request of an agent, below the span that the agent says it is part of.
///
/// An agent names the trace of the turn it was started in, which may be over: what counts is the trace of the turn that
/// runs, and of what the agent says, the span.
#[must_use]
pub fn chat(
    from: AgentScope,
    turn: Option<TurnId>,
    asked_model: Option<&str>,
    traceparent: Option<&str>,
) -> ChatSpan {
    if !is_on() {
        return ChatSpan(Span::none());
    }
    let session_id = from.session_id;
    let span = tracing::info_span!(
        target: super::TARGET,
        parent: None,
        "chat",
        otel.name = Empty,
        otel.kind = "client",
        %session_id,
    );
    let of_turn = turn.and_then(|turn| turns::with_running(turn, |running| running.context.clone()));
    let said = traceparent.and_then(|parent| parse(parent, None));
    let parent = match (of_turn, said) {
        (Some(turn), Some(said)) => Some(SpanContext::new(
            turn.trace_id(),
            said.span_id(),
            turn.trace_flags(),
            true,
            TraceState::default(),
        )),
        (Some(turn), None) => Some(turn),
        // Between turns; nobody's trace but the agent's.
        (None, said) => said,
    };
    if let Some(parent) = parent {
        below(&span, parent);
    }
    let model = asked_model.unwrap_or("unknown");
    span.record("otel.name", format!("chat {model}"));
    let attributes = [
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.provider.name", PROVIDER),
        KeyValue::new("gen_ai.request.model", model.to_owned()),
        KeyValue::new("gen_ai.conversation.id", session_id.to_string()),
        KeyValue::new("session.id", session_id.to_string()),
        KeyValue::new("user.id", from.user_id.to_string()),
    ];
    set_all(&span, attributes);
    ChatSpan(span)
}

impl ChatSpan {
    /// Ends the span with what the request used.
    pub fn end(self, usage: &RequestUsage) {
        let span = self.0;
        if span.is_disabled() {
            return;
        }
        let tokens = usage.tokens;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let input = tokens.input.saturating_add(tokens.cache_creation()).saturating_add(tokens.cache_read);
        let attributes = [
            KeyValue::new("gen_ai.response.model", usage.model.clone()),
            // Those from the cache are part of the input, by the conventions.
            KeyValue::new("gen_ai.usage.input_tokens", count(input)),
            KeyValue::new("gen_ai.usage.output_tokens", count(tokens.output)),
            KeyValue::new("gen_ai.usage.cache_read.input_tokens", count(tokens.cache_read)),
            KeyValue::new("gen_ai.usage.cache_creation.input_tokens", count(tokens.cache_creation())),
            KeyValue::new("http.response.status_code", i64::from(usage.http_status)),
            KeyValue::new("steward.cost.micro_usd", usage.cost.0),
            KeyValue::new("steward.usage.is_complete", usage.is_complete),
        ];
        set_all(&span, attributes);
        if let Some(reason) = &usage.stop_reason {
            let reasons = Value::Array(Array::String(vec![StringValue::from(reason.clone())]));
            span.set_attribute("gen_ai.response.finish_reasons", reasons);
        }
        match usage.http_status {
            200..=299 if usage.is_complete => {}
            200..=299 => failed(&span, "incomplete"),
            0 => failed(&span, "no_answer"),
            status => failed(&span, &status.to_string()),
        }
    }
}
