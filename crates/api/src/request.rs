//! Around every request: its id, its span, its log line, and the finishing of whatever went wrong in it.

use crate::{ApiSettings, ApiState, encoding, page::NextPage};
use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, LINK, REFERRER_POLICY,
        STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
    middleware::Next,
    rt,
    web::Data,
};
use apidoc::Occurrence;
use monitoring::spans::{Incoming, RequestSpan};
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
use tracing::Instrument;
use uuid::Uuid;

/// The header that names a request, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What a browser may do with an answer that it shows: nothing.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";
/// Items of a list in a header that are looked at.
pub const LISTED_MAX: usize = 64;
/// Longest request id that is taken over from a client, in characters.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// Follows a request from its arrival to the head of its answer. Bodies, query strings and headers are never logged.
///
/// The line is logged by a task of the connection's own thread, which has its turn when the head, and a body that was at
/// hand, are on their way: nobody waits for a log to be written.
pub async fn follow(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let started = Instant::now();
    let request_id = request_id(request.headers());
    let (method, route) = (request.method().clone(), request.match_pattern());
    request.extensions_mut().insert(Followed { request_id: request_id.clone(), route: route.clone() });
    let span = span(&request, route.as_deref(), &request_id);
    let trace_id = span.trace_id().to_owned();
    let instance = request.path().to_owned();
    let state = request.app_data::<Data<ApiState>>().cloned();
    let active = state.as_ref().map(|state| state.metrics.request_active());
    let hsts = state.as_ref().and_then(|state| hsts(&state.settings, request.request()));

    let outcome = next.call(request).instrument(span.span()).await;
    let mut outcome = apidoc::complete(outcome, || Occurrence {
        instance,
        trace_id,
        timestamp: state.as_ref().map(|state| state.clock.now().to_string()).unwrap_or_default(),
    });
    let status = match &mut outcome {
        Ok(response) => {
            let next_page = response.request().extensions().get::<NextPage>().and_then(NextPage::link);
            add_headers(response.headers_mut(), &request_id);
            add_if(response.headers_mut(), LINK, next_page);
            add_if(response.headers_mut(), STRICT_TRANSPORT_SECURITY, hsts);
            encoding::unmark(response.headers_mut());
            response.status()
        }
        Err(error) => error.as_response_error().status_code(),
    };
    drop(active);
    if let Some(state) = &state {
        let metrics = &state.metrics;
        metrics.record_http_request(method.as_str(), route, status.as_u16(), started.elapsed());
    }
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    rt::spawn(async move {
        span.span().in_scope(|| {
            span.answered(status.as_u16());
            tracing::info!(duration_ms, "answered");
        });
    });
    outcome
}

/// What is known of the request that is being answered.
struct Followed {
    request_id: String,
    route: Option<String>,
}

/// The pattern that the address of a request has, with names where ids are; `None` when no route takes it.
pub fn route(request: &ServiceRequest) -> Option<String> {
    request.extensions().get::<Followed>().and_then(|followed| followed.route.clone())
}

/// Where a request came from.
///
/// The address is that of the connection, or the one that a proxy tells which the operator trusts: what anybody else
/// says about who is behind them, anybody may say.
pub fn source(request: &HttpRequest) -> domain::Source {
    let request_id = request.extensions().get::<Followed>().map(|followed| followed.request_id.clone());
    let proxies = request.app_data::<Data<ApiState>>().map(|state| state.settings.proxies.clone());
    let client = proxies.unwrap_or_default().client(request.peer_addr(), request.headers());
    domain::Source { ip_address: client.address, request_id }
}

/// Tells browsers to come over TLS only, if they came over it, by a proxy's word, and the operator wants that.
fn hsts(settings: &ApiSettings, request: &HttpRequest) -> Option<HeaderValue> {
    let max_age = settings.hsts_max_age?.as_secs();
    let client = settings.proxies.client(request.peer_addr(), request.headers());
    client.is_secure.then(|| HeaderValue::try_from(format!("max-age={max_age}")).ok())?
}

fn add_if(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value.filter(|_| !headers.contains_key(&name)) {
        headers.insert(name, value);
    }
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

/// The span of a request, in the trace of its caller if that sent one.
fn span(request: &ServiceRequest, route: Option<&str>, request_id: &str) -> RequestSpan {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    monitoring::spans::request(Incoming {
        method: request.method().as_str(),
        route,
        request_id,
        traceparent: header("traceparent"),
        tracestate: header("tracestate"),
    })
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

fn add_headers(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Answers are data and files of agents, and no page of ours but the documentation, which has a policy of its own.
    add_if(headers, CONTENT_SECURITY_POLICY, Some(HeaderValue::from_static(POLICY)));
    // Answers hold tokens and private conversations, and are out of date at once.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{
        App, HttpResponse,
        middleware::from_fn,
        test::{TestRequest, call_service, init_service},
        web,
    };
    use std::{fs::read_to_string, sync::Mutex};
    use tokio::task::yield_now;

    #[actix_web::test]
    async fn the_line_is_logged_when_the_answer_is_on_its_way() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let lines = || read_to_string(log.path()).unwrap();
        let writer = Mutex::new(log.reopen().unwrap());
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
        let _here = tracing::subscriber::set_default(subscriber);
        let app = App::new().wrap(from_fn(follow)).route("/x", web::get().to(HttpResponse::NoContent));
        let app = init_service(app).await;
        assert_eq!(call_service(&app, TestRequest::get().uri("/x").to_request()).await.status(), 204);
        assert_eq!(lines(), "");
        yield_now().await;
        let lines = lines();
        assert!(lines.contains("answered") && lines.contains("status=204"), "{lines}");
    }

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
}
