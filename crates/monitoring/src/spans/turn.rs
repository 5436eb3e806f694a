//! The span of a turn.

use super::{AGENT, PROVIDER, below, captures, content, context_of, failed, is_on, set_all, turns};
use domain::{SessionId, TurnId, UserId};
use opentelemetry::KeyValue;
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// What is known of a turn when it begins.
#[derive(Debug, Clone, Copy)]
pub struct TurnFacts<'a> {
    pub turn_id: TurnId,
    pub session_id: SessionId,
    pub user_id: UserId,
    /// The word for the session's mode.
    pub mode: &'a str,
    pub model: Option<&'a str>,
}

/// The span of a turn that runs; what was open of it is closed when this is dropped.
#[derive(Debug)]
pub struct TurnSpan {
    span: Span,
    turn_id: TurnId,
}

/// Begins the span of a turn: below the current span, whose request asked for it, or linked to who asked when it had to
/// wait.
#[must_use]
pub fn turn(facts: TurnFacts<'_>, prompt: &Value) -> TurnSpan {
    let TurnFacts { turn_id, session_id, user_id, mode, model } = facts;
    let here = Span::current();
    // No child of the request in the eyes of tracing: the request's span ends with its answer.
    let span = tracing::info_span!(
        target: super::TARGET,
        parent: None,
        "turn",
        otel.name = Empty,
        %session_id,
        %turn_id,
    );
    if is_on() {
        match turns::asker(turn_id) {
            Some(asker) => span.add_link(asker),
            None => {
                if let Some(request) = context_of(&here) {
                    below(&span, request);
                }
            }
        }
        span.record("otel.name", format!("invoke_agent {AGENT}"));
        let attributes = [
            KeyValue::new("gen_ai.operation.name", "invoke_agent"),
            KeyValue::new("gen_ai.provider.name", PROVIDER),
            KeyValue::new("gen_ai.agent.name", AGENT),
            KeyValue::new("gen_ai.conversation.id", session_id.to_string()),
            KeyValue::new("session.id", session_id.to_string()),
            KeyValue::new("user.id", user_id.to_string()),
            KeyValue::new("steward.session.mode", mode.to_owned()),
        ];
        let model = model.map(|model| KeyValue::new("gen_ai.request.model", model.to_owned()));
        set_all(&span, attributes.into_iter().chain(model));
        if captures() {
            span.set_attribute("gen_ai.input.messages", content::message("user", prompt));
        }
        if let Some(context) = context_of(&span) {
            let began_unix_nanos = nanos_now();
            turns::begun(session_id, turns::Known { turn_id, context, began_unix_nanos });
        }
    }
    TurnSpan { span, turn_id }
}

impl TurnSpan {
    /// To run the turn in.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span.clone()
    }
}

/// Notes how the turn that runs in the current span ended: in a word, with the failure if it is one, and what the agent
/// answered.
pub fn turn_ended(outcome: &'static str, failure: Option<&str>, answer: Option<&str>) {
    if !is_on() {
        return;
    }
    let span = Span::current();
    span.set_attribute("steward.turn.outcome", outcome);
    if let Some(failure) = failure {
        failed(&span, failure);
    }
    if let Some(answer) = answer.filter(|_| captures()) {
        span.set_attribute("gen_ai.output.messages", content::message("assistant", &answer.into()));
    }
}

impl Drop for TurnSpan {
    fn drop(&mut self) {
        turns::ended(self.turn_id);
    }
}

/// By the clock that agents stamp their spans with, which is the machine's and not the one that tests set.
fn nanos_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
