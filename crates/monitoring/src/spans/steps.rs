//! The spans of what happens within a turn: starting the agent, tools, hooks and verdicts, asking a person.

use super::{AGENT, captures, content, context_of, failed, is_on, set_all, turns};
use domain::{PermissionDecision, ToolCallStatus, TurnId};
use opentelemetry::KeyValue;
use serde_json::Value;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// A step that is under way.
#[derive(Debug)]
pub struct Step(Span);

impl Step {
    /// To take the step in.
    #[must_use]
    pub fn span(&self) -> Span {
        self.0.clone()
    }

    /// Notes in a word what came of it.
    pub fn end(&self, outcome: &str) {
        self.0.set_attribute("steward.outcome", outcome.to_owned());
    }

    /// Notes in a word in which way it failed.
    pub fn fail(&self, error_type: &str) {
        failed(&self.0, error_type);
    }
}

/// Starting the agent of the turn that runs in the current span; nothing when it is started ahead of one.
#[must_use]
pub fn start_agent() -> Step {
    if !is_on() || context_of(&Span::current()).is_none() {
        return Step(Span::none());
    }
    let span = tracing::info_span!(target: super::TARGET, "start_agent");
    set_all(&span, [KeyValue::new("gen_ai.agent.name", AGENT)]);
    Step(span)
}

/// One hook of an event.
#[must_use]
pub fn hook(turn: Option<TurnId>, call: Option<&str>, event: &str, name: &str, tool: Option<&str>) -> Step {
    let span = below_call(
        turn,
        call,
        || tracing::info_span!(target: super::TARGET, parent: None, "hook", otel.name = Empty),
    );
    if !span.is_disabled() {
        span.record("otel.name", format!("hook {event}"));
        let attributes = [
            KeyValue::new("steward.hook.event", event.to_owned()),
            KeyValue::new("steward.hook.name", name.to_owned()),
        ];
        set_all(&span, attributes.into_iter().chain(named(call, tool)));
    }
    Step(span)
}

/// A person is asked about a tool call.
#[must_use]
pub fn approval(turn: TurnId, call: &str, tool: &str) -> Step {
    let span = below_call(
        Some(turn),
        Some(call),
        || tracing::info_span!(target: super::TARGET, parent: None, "approval", otel.name = Empty),
    );
    if !span.is_disabled() {
        span.record("otel.name", format!("approval {tool}"));
        set_all(&span, named(Some(call), Some(tool)));
    }
    Step(span)
}

/// Notes on the current span what was decided about a tool call.
pub fn decided(decision: &PermissionDecision) {
    if !is_on() {
        return;
    }
    let attributes = [
        KeyValue::new("steward.permission.verdict", decision.opinion.verdict.as_str()),
        KeyValue::new("steward.permission.policy", decision.opinion.policy.to_string()),
        KeyValue::new("steward.permission.rule", decision.opinion.rule.to_string()),
        KeyValue::new("steward.permission.decided_by", decision.decided_by.as_str()),
    ];
    set_all(&Span::current(), attributes);
}

/// A tool was called. Within the call of another tool, whose subagent called it, it is below that.
pub fn tool_began(turn: TurnId, call: &str, tool: &str, input: &Value, within: Option<&str>) {
    if !is_on() {
        return;
    }
    let _noted = turns::with_running(turn, |running| {
        if running.tools.len() >= turns::TOOLS_MAX || running.tools.contains_key(call) {
            return;
        }
        let span =
            tracing::info_span!(target: super::TARGET, parent: None, "execute_tool", otel.name = Empty);
        let around = within.and_then(|call| running.tools.get(call)).and_then(context_of);
        super::below(&span, around.unwrap_or_else(|| running.context.clone()));
        span.record("otel.name", format!("execute_tool {tool}"));
        let attributes = [
            KeyValue::new("gen_ai.operation.name", "execute_tool"),
            KeyValue::new("gen_ai.tool.type", "function"),
        ];
        set_all(&span, attributes.into_iter().chain(named(Some(call), Some(tool))));
        if captures() {
            span.set_attribute("gen_ai.tool.call.arguments", content::value(input));
        }
        running.tools.insert(call.to_owned(), span);
    });
}

/// A tool call is over.
pub fn tool_ended(turn: TurnId, call: &str, status: ToolCallStatus, output: &Value) {
    if !is_on() {
        return;
    }
    let span = turns::with_running(turn, |running| running.tools.remove(call)).flatten();
    let Some(span) = span else { return };
    match status {
        ToolCallStatus::Denied => failed(&span, "denied"),
        ToolCallStatus::Failed => failed(&span, "failed"),
        other => span.set_attribute("steward.outcome", other.as_str()),
    }
    if captures() {
        span.set_attribute("gen_ai.tool.call.result", content::value(output));
    }
}

/// A span below that of a tool call, or of the turn where the call is not known yet.
fn below_call(turn: Option<TurnId>, call: Option<&str>, make: impl FnOnce() -> Span) -> Span {
    if !is_on() {
        return Span::none();
    }
    let parent = turn.and_then(|turn| {
        turns::with_running(turn, |running| {
            let tool = call.and_then(|call| running.tools.get(call)).and_then(context_of);
            tool.unwrap_or_else(|| running.context.clone())
        })
    });
    // Without a turn it would be a trace of its own: nobody asked for that.
    let Some(parent) = parent else { return Span::none() };
    let span = make();
    super::below(&span, parent);
    span
}

fn named(call: Option<&str>, tool: Option<&str>) -> impl Iterator<Item = KeyValue> {
    let call = call.map(|call| KeyValue::new("gen_ai.tool.call.id", call.to_owned()));
    let tool = tool.map(|tool| KeyValue::new("gen_ai.tool.name", tool.to_owned()));
    call.into_iter().chain(tool)
}
