//! `Idempotency-Key`: a request that creates something is carried out once, and answered again as it was the first time.
//!
//! Which requests these are is said by the document: those that answer with 201 or 202.

use crate::{ApiState, caller, contract, error::problem, request};
use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, EitherBody, MessageBody, to_bytes_limited},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::{
        Method, StatusCode,
        header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION},
    },
    middleware::Next,
    web::{Bytes, Data},
};
use apidoc::{Header, Problem, RequestHeader, Violation};
use domain::login_throttle::network;
use engine::idempotency::{ANSWER_BYTES_MAX, HeldKey, KeptAnswer, Met};
use futures::{future::ready, stream};

/// Says that an answer was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// When to ask again whether an earlier request is done.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The key by which a client knows its request again.
#[derive(Debug)]
pub struct IdempotencyKey(String);

impl RequestHeader for IdempotencyKey {
    const NAME: &'static str = "Idempotency-Key";
    const ABOUT: &'static str = "A key of your own, such as a UUID, under which this request is carried out once: for 24 \
                                 hours the same request with it gets the first answer again, marked by \
                                 `Idempotent-Replayed: true`, and another one 422. Only answers of success are kept.";
    const LENGTH_MAX: u32 = 255;

    /// A string as the draft has it, in quotes, or the bare text that most clients send.
    fn parse(value: &str) -> Result<Self, String> {
        let text = value.trim();
        let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        if inner.is_empty() || !inner.bytes().all(|b| b.is_ascii_graphic() && b != b'"') {
            return Err("must be visible ASCII without spaces and quotes".to_owned());
        }
        Ok(Self(inner.to_owned()))
    }
}

/// Carries a keyed request out once. It runs after the credential was checked and before anything else.
pub async fn once<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let Some((state, owner)) = subject(&request) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let (http, mut payload) = request.into_parts();
    let (held, body) = match claim(&state, &owner, &http, &mut payload).await {
        Ok(Claimed::First(held, body)) => (held, body),
        Ok(Claimed::Answered(response)) => {
            return Ok(ServiceResponse::new(http, response).map_into_right_body());
        }
        Err(problem) => return Ok(ServiceResponse::from_err(problem, http).map_into_right_body()),
    };
    let body = stream::once(ready(Ok::<_, PayloadError>(body)));
    let request = ServiceRequest::from_parts(http, Payload::Stream { payload: Box::pin(body) });
    // A client that goes away is the very one that comes again: the request is carried out all the same.
    let work = carry_out(held, next, request);
    let done = actix_web::rt::spawn(state.streams.track_future(work)).await;
    done.map_err(|_| Problem::of(StatusCode::INTERNAL_SERVER_ERROR))?
}

/// What a keyed request is to do.
enum Claimed {
    /// It is carried out, with its body.
    First(HeldKey, Bytes),
    /// It was, and this is what was answered.
    Answered(HttpResponse<BoxBody>),
}

async fn claim(
    state: &ApiState,
    owner: &str,
    http: &HttpRequest,
    payload: &mut Payload,
) -> Result<Claimed, Problem> {
    let key = Header::<IdempotencyKey>::from_request(http, &mut Payload::None).into_inner()?;
    let key = key.0.map(|IdempotencyKey(key)| key).unwrap_or_default();
    let body = apidoc::read_body(http, payload).await?;
    let media_type = http.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    // What a credential reaches may be shown to another that reaches as far, and to no other.
    let reach = caller::known(&http.extensions()).map(|caller| caller.access.to_string()).unwrap_or_default();
    let parts = [http.path().as_bytes(), http.query_string().as_bytes(), media_type, &body, reach.as_bytes()];
    match state.idempotency.meet(owner, &key, &parts).await.map_err(problem)? {
        Met::First(held) => Ok(Claimed::First(held, body)),
        Met::Answered(answer) => replayed(answer).map(Claimed::Answered),
        Met::Running => Err(running()),
        Met::Unknown => Err(unknown()),
        Met::OtherRequest => Err(other_request()),
        Met::Full => Err(full()),
    }
}

/// The state, and whose keys count, if this is a request that may be keyed: one that creates something, by somebody
/// who was let in, or at an address for everybody.
fn subject(request: &ServiceRequest) -> Option<(Data<ApiState>, String)> {
    if request.method() != Method::POST || !request.headers().contains_key(IdempotencyKey::NAME) {
        return None;
    }
    let creates = contract::creation(&request::route(request)?)?;
    let state = request.app_data::<Data<ApiState>>()?.clone();
    let owner = match caller::known(&request.extensions()) {
        Some(caller) => format!("user {}", caller.user_id),
        None if creates.is_for_everybody => {
            let source = request::source(request.request());
            format!("address {}", source.ip_address.map(network).unwrap_or_default())
        }
        None => return None,
    };
    Some((state, owner))
}

async fn carry_out<B: MessageBody + 'static>(
    held: HeldKey,
    next: Next<B>,
    request: ServiceRequest,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let response = match held.while_held(next.call(request)).await {
        Ok(response) if response.status().is_success() => response,
        // It came to nothing: whoever sends it again means that it should be tried again.
        other => {
            held.release().await;
            return Ok(other?.map_into_left_body());
        }
    };
    let status = response.status().as_u16();
    let headers: Vec<_> = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let is_short =
        matches!(response.response().body().size(), BodySize::None | BodySize::Sized(0..=KEPT_MAX));
    if !is_short {
        held.keep(&KeptAnswer::new(status, headers, None)).await;
        return Ok(response.map_into_left_body());
    }
    let (http, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let body = match to_bytes_limited(body, ANSWER_BYTES_MAX).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) | Err(_) => {
            held.keep(&KeptAnswer::new(status, headers, None)).await;
            return Err(Problem::of(StatusCode::INTERNAL_SERVER_ERROR).into());
        }
    };
    held.keep(&KeptAnswer::new(status, headers, Some(body.to_vec()))).await;
    let response = head.set_body(body).map_into_boxed_body();
    Ok(ServiceResponse::new(http, response).map_into_right_body())
}

const KEPT_MAX: u64 = ANSWER_BYTES_MAX as u64;

/// The first answer again, or that it cannot be given again.
fn replayed(answer: KeptAnswer) -> Result<HttpResponse<BoxBody>, Problem> {
    let location = answer.header(LOCATION.as_str()).map(str::to_owned);
    let Some(body) = answer.body else {
        let detail =
            "the request was carried out, and its answer, a stream or a large one, is not given again";
        let problem = Problem::new(StatusCode::CONFLICT, "ANSWER_NOT_KEPT", detail);
        return Err(match location {
            Some(location) => problem.with_member("location", location),
            None => problem,
        });
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::with_body(status, Bytes::from(body)).map_into_boxed_body();
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn running() -> Problem {
    let detail = "the first request with this key is still being carried out";
    Problem::new(StatusCode::CONFLICT, "IDEMPOTENT_REQUEST_RUNNING", detail).retry_after(RETRY_AFTER_SECONDS)
}

fn unknown() -> Problem {
    let detail = "the server that carried out the first request with this key ended meanwhile, and nobody knows what came \
                  of it; look whether it was done, and send what is to be done with a new key";
    Problem::new(StatusCode::CONFLICT, "IDEMPOTENT_OUTCOME_UNKNOWN", detail)
}

fn other_request() -> Problem {
    let message = "this key stands for another request";
    Problem::invalid(vec![Violation::new(format!("#{}", IdempotencyKey::NAME), "reused", message)])
}

fn full() -> Problem {
    let detail = "you have as many idempotency keys as are kept; the oldest are forgotten after 24 hours";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_KEYS", detail).retry_after(3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_string_in_quotes_or_a_bare_text() {
        let of = |text| IdempotencyKey::parse(text).map(|key| key.0).ok();
        assert_eq!(of("\"8e03978e-40d5\"").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(of("8e03978e-40d5").as_deref(), Some("8e03978e-40d5"));
        for bad in ["", "\"\"", "a b", "\"a", "a\"b"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
