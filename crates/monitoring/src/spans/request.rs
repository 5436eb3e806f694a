//! The span of a request to the API.

use super::{below, context_of, failed, is_on, parse, propagates};
use opentelemetry::KeyValue;
use tracing::{Span, field::Empty};
use uuid::Uuid;

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    pub method: &'a str,
    /// Its pattern, with names where ids are; `None` when no route takes it.
    pub route: Option<&'a str>,
    pub request_id: &'a str,
    pub traceparent: Option<&'a str>,
    pub tracestate: Option<&'a str>,
}

/// The span of a request, and the id of the trace it is part of.
#[derive(Debug)]
pub struct RequestSpan {
    span: Span,
    trace_id: String,
}

/// Begins the span of a request, in the trace of its caller or one of its own.
#[must_use]
pub fn request(incoming: Incoming<'_>) -> RequestSpan {
    let caller = incoming.traceparent.filter(|_| propagates());
    let caller = caller.and_then(|parent| parse(parent, incoming.tracestate));
    let of_caller = caller.as_ref().map(|caller| caller.trace_id().to_string());
    let own = || Uuid::new_v4().simple().to_string();
    if !is_on() {
        let trace_id = of_caller.unwrap_or_else(own);
        return RequestSpan { span: begin(incoming, Some(&trace_id)), trace_id };
    }
    let span = begin(incoming, None);
    if let Some(caller) = caller {
        below(&span, caller);
    }
    // Methods are anybody's words; those that are none count as one.
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(&incoming.method);
    let method = if known { incoming.method } else { "_OTHER" };
    let name = incoming.route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    span.record("otel.name", name);
    span.record("otel.kind", "server");
    let route = incoming.route.map(|route| KeyValue::new("http.route", route.to_owned()));
    super::set_all(&span, [KeyValue::new("http.request.method", method.to_owned())].into_iter().chain(route));
    let exported = context_of(&span).map(|context| context.trace_id().to_string());
    let trace_id = exported.or(of_caller).unwrap_or_else(own);
    span.record("trace_id", &trace_id);
    RequestSpan { span, trace_id }
}

/// The span itself. What is recorded later has its fields written a second time.
fn begin(incoming: Incoming<'_>, trace_id: Option<&str>) -> Span {
    let Incoming { method, route, request_id, .. } = incoming;
    tracing::info_span!(
        target: super::TARGET,
        parent: None,
        "request",
        otel.name = Empty,
        otel.kind = Empty,
        method,
        route = route.unwrap_or("none"),
        request_id,
        trace_id,
        status = Empty
    )
}

impl RequestSpan {
    /// To run the request in.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// 32 hex digits: what the request can be found by, in problems, log lines and wherever traces go.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// Notes the status of the answer.
    pub fn answered(&self, status: u16) {
        self.span.record("status", status);
        if is_on() {
            super::set_all(&self.span, [KeyValue::new("http.response.status_code", i64::from(status))]);
            if status >= 500 {
                failed(&self.span, &status.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace_id(traceparent: &str) -> String {
        let incoming = Incoming {
            method: "GET",
            route: None,
            request_id: "r",
            traceparent: Some(traceparent),
            tracestate: None,
        };
        request(incoming).trace_id().to_owned()
    }

    #[test]
    fn only_valid_traceparents_are_continued() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for valid in
            [format!("00-{trace}-b7ad6b7169203331-01"), format!("01-{trace}-b7ad6b7169203331-01-more")]
        {
            assert_eq!(trace_id(&valid), trace);
        }
        for invalid in [
            "".to_owned(),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
        ] {
            let own = trace_id(&invalid);
            assert_ne!(own, trace, "{invalid}");
            assert_eq!(own.len(), 32, "a trace of its own");
        }
    }
}
