//! Around every request: its id, its span, its log line, and the finishing of whatever went wrong in it.

use crate::ApiState;
use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS},
    middleware::Next,
    web::Data,
};
use apidoc::Occurrence;
use paperclip::{
    actix::OperationModifier,
    v2::{
        models::{DefaultOperationRaw, DefaultSchemaRaw},
        schema::Apiv2Schema,
    },
};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Ready, ready},
    time::Instant,
};
use tracing::{Instrument, Span, field::Empty};
use uuid::Uuid;

/// The header that names a request, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken over from a client, in characters.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// Follows a request from its arrival to the head of its answer. Bodies, query strings and headers are never logged.
pub async fn follow(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let started = Instant::now();
    let request_id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let trace_id = trace_id(request.headers()).unwrap_or_else(|| request_id.clone());
    let (method, route) = (request.method().clone(), request.match_pattern());
    let span = span(method.as_str(), route.as_deref(), &request_id, &trace_id);
    let instance = request.path().to_owned();
    let state = request.app_data::<Data<ApiState>>().cloned();
    let active = state.as_ref().map(|state| state.metrics.request_active());

    let outcome = next.call(request).instrument(span.clone()).await;
    let mut outcome = apidoc::complete(outcome, || Occurrence {
        instance,
        trace_id,
        timestamp: state.as_ref().map(|state| state.clock.now().to_string()).unwrap_or_default(),
    });
    let status = match &mut outcome {
        Ok(response) => {
            add_headers(response.headers_mut(), &request_id);
            response.status()
        }
        Err(error) => error.as_response_error().status_code(),
    };
    drop(active);
    if let Some(state) = &state {
        let metrics = &state.metrics;
        metrics.record_http_request(method.as_str(), route.as_deref(), status.as_u16(), started.elapsed());
    }
    span.in_scope(|| {
        span.record("status", status.as_u16());
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(duration_ms, "answered");
    });
    outcome
}

/// The id of the request that is being answered.
struct RequestId(String);

/// Where a request came from.
///
/// The address is that of the connection: what a header says about who is behind a proxy, anybody may say.
pub fn source(request: &HttpRequest) -> domain::Source {
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    domain::Source { ip_address: request.peer_addr().map(|peer| peer.ip().to_canonical()), request_id }
}

/// Where this request came from, for handlers that no caller comes to.
#[derive(Debug)]
pub struct Source(pub domain::Source);

impl FromRequest for Source {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(source(request))))
    }
}

impl Apiv2Schema for Source {}

impl OperationModifier for Source {
    fn update_parameter(_: &mut DefaultOperationRaw) {}
    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

fn span(method: &str, route: Option<&str>, request_id: &str, trace_id: &str) -> Span {
    let route = route.unwrap_or("none");
    tracing::info_span!("request", method, route, request_id, trace_id, status = Empty)
}

/// The id the client gave, if it is fit to be repeated in logs and headers, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let fit = |text: &&str| {
        (1..=REQUEST_ID_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(fit);
    given.map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned)
}

/// The trace id of a valid W3C `traceparent`: `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    match parts[..] {
        [version, trace, parent, flags, ..]
            if hex(version, 2)
                && version != "ff"
                && (version != "00" || parts.len() == 4)
                && hex(trace, 32)
                && hex(parent, 16)
                && hex(flags, 2)
                && trace.bytes().any(|b| b != b'0')
                && parent.bytes().any(|b| b != b'0') =>
        {
            Some(trace.to_owned())
        }
        _ => None,
    }
}

fn add_headers(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Answers hold tokens and private conversations, and are out of date at once.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn only_fit_request_ids_are_taken_over() {
        for fit in ["a", "req-1.2_3:4", &"x".repeat(128)] {
            assert_eq!(request_id(&headers("x-request-id", fit)), fit);
        }
        for unfit in ["", "a b", "a\tb", "é", "<script>", &"x".repeat(129)] {
            assert_eq!(request_id(&headers("x-request-id", unfit)).len(), 32, "{unfit:?}");
        }
    }

    #[test]
    fn only_valid_traceparents_are_continued() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for valid in
            [format!("00-{trace}-b7ad6b7169203331-01"), format!("01-{trace}-b7ad6b7169203331-01-more")]
        {
            assert_eq!(trace_id(&headers("traceparent", &valid)).as_deref(), Some(trace));
        }
        for invalid in [
            "".to_owned(),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
        ] {
            assert_eq!(trace_id(&headers("traceparent", &invalid)), None, "{invalid}");
        }
    }
}
