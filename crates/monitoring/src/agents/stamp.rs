//! Stamps what an agent reports with whose it is, and puts it into the trace of the turn it is about.
//!
//! An agent takes the trace it belongs to from its environment, once, and then works on many turns. Which turn a span is
//! of says the time it began at: an agent works on one turn at a time.

use crate::{
    spans::{self, Known},
    telemetry::Content,
};
use domain::AgentScope;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs},
    metrics::v1::{Metric, ResourceMetrics, metric::Data},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, Span},
};

/// Attributes in which the CLI puts what people, models and tools wrote, when it is told to. Any of its settings can be
/// changed by who writes a session's environment, so it is not relied on to leave them out.
const WITH_CONTENT: [&str; 24] = [
    "prompt",
    "user_prompt",
    "response",
    "new_context",
    "system_prompt",
    "system_prompt_preview",
    "user_system_prompt",
    "tools",
    "tool",
    "tool_input",
    "tool_result",
    "tool_parameters",
    "tool_output",
    "response.model_output",
    "full_command",
    "bash_command",
    "bash_argv0",
    "file_path",
    "content",
    "output",
    "stdout",
    "stderr",
    "body",
    "input",
];
/// Whose an agent believes to work for: a person it made up, and a conversation that may be another one by now. The
/// resource says whose it is.
const OF_THE_AGENT: [&str; 2] = ["session.id", "user.id"];
/// What the CLI says in the place of content it leaves out.
const REDACTED: &str = "<REDACTED>";
/// Names, models, words: nothing longer is said without content.
const WITHOUT_CONTENT_BYTES_MAX: usize = 256;

/// Whose report it is, and how it is to be marked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp<'a> {
    pub(super) scope: AgentScope,
    /// The name of the server that passes it on.
    pub(super) service: &'a str,
    pub(super) content: Content,
}

impl Stamp<'_> {
    pub(super) fn spans(&self, resources: &mut Vec<ResourceSpans>) {
        for of_resource in resources {
            self.resource(&mut of_resource.resource);
            for of_scope in &mut of_resource.scope_spans {
                of_scope.spans.retain_mut(|span| self.span(span));
            }
        }
    }

    pub(super) fn records(&self, resources: &mut Vec<ResourceLogs>) {
        for of_resource in resources {
            self.resource(&mut of_resource.resource);
            for of_scope in &mut of_resource.scope_logs {
                of_scope.log_records.iter_mut().for_each(|record| self.record(record));
            }
        }
    }

    pub(super) fn metrics(&self, resources: &mut Vec<ResourceMetrics>) {
        for of_resource in resources {
            self.resource(&mut of_resource.resource);
            for metric in of_resource.scope_metrics.iter_mut().flat_map(|of_scope| &mut of_scope.metrics) {
                of_points(metric, forget_identity);
            }
        }
    }

    /// What the agent says of the same is replaced: it may say what it likes.
    fn resource(&self, resource: &mut Option<Resource>) {
        let attributes = &mut resource.get_or_insert_default().attributes;
        let ours = [
            ("service.namespace", self.service.to_owned()),
            ("session.id", self.scope.session_id.to_string()),
            ("user.id", self.scope.user_id.to_string()),
        ];
        for (key, value) in ours {
            set(attributes, key, value);
        }
    }

    /// False when nobody wants this span: the turn's trace is not recorded.
    fn span(&self, span: &mut Span) -> bool {
        if let Some(turn) = spans::at(self.scope.session_id, span.start_time_unix_nano) {
            if !turn.context.is_sampled() {
                return false;
            }
            self.adopt(span, &turn);
        }
        forget_identity(&mut span.attributes);
        set(&mut span.attributes, "gen_ai.conversation.id", self.scope.session_id.to_string());
        self.clean(&mut span.attributes);
        for event in &mut span.events {
            self.clean(&mut event.attributes);
        }
        true
    }

    fn adopt(&self, span: &mut Span, turn: &Known) {
        let own = std::mem::replace(&mut span.trace_id, turn.context.trace_id().to_bytes().to_vec());
        for link in span.links.iter_mut().filter(|link| link.trace_id == own) {
            link.trace_id.clone_from(&span.trace_id);
        }
        // The agent's outermost spans stand below the turn it was started in, or below nothing.
        if span.parent_span_id.is_empty() || spans::is_turn(self.scope.session_id, &span.parent_span_id) {
            span.parent_span_id = turn.context.span_id().to_bytes().to_vec();
        }
        set(&mut span.attributes, "steward.turn.id", turn.turn_id.to_string());
    }

    fn record(&self, record: &mut LogRecord) {
        let time =
            if record.time_unix_nano > 0 { record.time_unix_nano } else { record.observed_time_unix_nano };
        if let Some(turn) = spans::at(self.scope.session_id, time) {
            record.trace_id = turn.context.trace_id().to_bytes().to_vec();
            if record.span_id.is_empty() || spans::is_turn(self.scope.session_id, &record.span_id) {
                record.span_id = turn.context.span_id().to_bytes().to_vec();
            }
            set(&mut record.attributes, "steward.turn.id", turn.turn_id.to_string());
        }
        forget_identity(&mut record.attributes);
        self.clean(&mut record.attributes);
    }

    /// Leaves out what may be content, unless that is wanted.
    fn clean(&self, attributes: &mut Vec<KeyValue>) {
        if self.content == Content::Captured {
            return;
        }
        attributes.retain(|attribute| match attribute.value.as_ref().and_then(|any| any.value.as_ref()) {
            Some(Value::StringValue(text)) if text == REDACTED => true,
            Some(Value::StringValue(text)) => {
                !WITH_CONTENT.contains(&attribute.key.as_str()) && text.len() <= WITHOUT_CONTENT_BYTES_MAX
            }
            Some(Value::BoolValue(_) | Value::IntValue(_) | Value::DoubleValue(_)) => true,
            // Lists of words such as reasons to finish; nothing deeper.
            Some(Value::ArrayValue(list)) => list.values.iter().all(is_short),
            Some(Value::KvlistValue(_) | Value::BytesValue(_) | Value::StringValueStrindex(_)) | None => {
                false
            }
        });
    }
}

fn forget_identity(attributes: &mut Vec<KeyValue>) {
    attributes.retain(|attribute| !OF_THE_AGENT.contains(&attribute.key.as_str()));
}

/// Does something to the attributes of each point.
fn of_points(metric: &mut Metric, change: impl Fn(&mut Vec<KeyValue>)) {
    match &mut metric.data {
        Some(Data::Sum(sum)) => sum.data_points.iter_mut().for_each(|point| change(&mut point.attributes)),
        Some(Data::Gauge(gauge)) => {
            gauge.data_points.iter_mut().for_each(|point| change(&mut point.attributes))
        }
        Some(Data::Histogram(all)) => {
            all.data_points.iter_mut().for_each(|point| change(&mut point.attributes))
        }
        Some(Data::ExponentialHistogram(_) | Data::Summary(_)) | None => {}
    }
}

fn is_short(value: &AnyValue) -> bool {
    match &value.value {
        Some(Value::StringValue(text)) => text.len() <= WITHOUT_CONTENT_BYTES_MAX,
        Some(Value::BoolValue(_) | Value::IntValue(_) | Value::DoubleValue(_)) => true,
        _ => false,
    }
}

fn set(attributes: &mut Vec<KeyValue>, key: &str, value: String) {
    attributes.retain(|attribute| attribute.key != key);
    let value = Some(AnyValue { value: Some(Value::StringValue(value)) });
    attributes.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
}
