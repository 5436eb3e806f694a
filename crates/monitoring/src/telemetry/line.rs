//! A log line in JSON: what happened at the top, beside it which trace, session and turn it belongs to.

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use std::fmt;
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// Fields of spans that are repeated at the top of each line within them. The innermost span that has one says it.
const FROM_SPANS: [&str; 5] = ["trace_id", "request_id", "session_id", "turn_id", "user_id"];

/// The form of a line.
pub(super) struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let mut now = String::new();
        SystemTime.format_time(&mut Writer::new(&mut now))?;
        line.insert("timestamp".to_owned(), now.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        let mut spans = Vec::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let mut shown = span
                .extensions()
                .get::<FormattedFields<JsonFields>>()
                .and_then(|fields| serde_json::from_str::<Map<String, Value>>(&fields.fields).ok())
                .unwrap_or_default();
            for name in FROM_SPANS {
                if let Some(value) = shown.remove(name) {
                    line.insert(name.to_owned(), value);
                }
            }
            // Meant for exporters.
            shown.retain(|name, _| !name.starts_with("otel."));
            shown.insert("name".to_owned(), span.name().into());
            spans.push(Value::Object(shown));
        }
        // Of the span that is exported, where spans are; what the spans themselves say is of the caller's trace.
        let current = opentelemetry::Context::current();
        let current = current.span().span_context().clone();
        if current.is_valid() {
            line.insert("trace_id".to_owned(), current.trace_id().to_string().into());
            line.insert("span_id".to_owned(), current.span_id().to_string().into());
        }
        // What the event says of itself has the last word.
        event.record(&mut Fields(&mut line));
        if !spans.is_empty() {
            line.insert("spans".to_owned(), spans.into());
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Puts the fields of an event into a line.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn set(&mut self, field: &tracing::field::Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &tracing::field::Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &tracing::field::Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &tracing::field::Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.set(field, value);
    }

    /// With what led to it: an error alone seldom says what was wrong.
    fn record_error(&mut self, field: &tracing::field::Field, value: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(value.source(), |cause| cause.source());
        let chain = causes.fold(value.to_string(), |text, cause| format!("{text}: {cause}"));
        self.set(field, chain);
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}
