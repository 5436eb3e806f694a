//! Around every request but those of probes: it is counted for whoever asks.

use super::CallerKey;
use crate::{ApiState, caller, health, metrics_page, request};
use actix_web::{
    Error, HttpMessage,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
    web::Data,
};
use apidoc::Problem;

/// Counts a request, and answers it with 429 if there were too many. Whoever has no good credential is counted by their
/// address.
pub async fn limit<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let path = request.path();
    let is_exempt = health::is_about(path) || path == metrics_page::PATH;
    let limiter = request.app_data::<Data<ApiState>>().and_then(|state| state.limiter.clone());
    let Some(limiter) = limiter.filter(|_| !is_exempt) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let caller = match caller::recognised(&request.extensions()) {
        Some(caller) => CallerKey::of(&caller),
        None => CallerKey::address(request::source(request.request()).ip_address),
    };
    let counted = limiter.count(caller);
    let mut response = match counted.retry_after_seconds {
        None => next.call(request).await?.map_into_left_body(),
        Some(seconds) => request.error_response(too_many(seconds)).map_into_right_body(),
    };
    for (name, value) in counted.headers {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// What somebody is told who asks too often.
pub fn too_many(retry_after_seconds: u64) -> Problem {
    let detail = "you ask more often than you may; RateLimit-Policy says how often that is";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", detail).retry_after(retry_after_seconds)
}
