//! Completes every failure on its way out: the one place where a problem gets its occurrence.

use super::{Occurrence, Problem};
use crate::record::PROBLEM_JSON;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{Error, HttpResponse};

/// Turns the outcome of a request into the answer: problems are rendered again with their occurrence,
/// and failures that are not problems yet (actix's own 404, 405, payload errors) become problems.
/// Success passes untouched. Call it in a `from_fn` middleware that wraps the whole app.
pub fn complete<B: MessageBody>(
    outcome: Result<ServiceResponse<B>, Error>,
    occurrence: impl FnOnce() -> Occurrence,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match outcome {
        Ok(response) => Ok(match problem_in(response.response()) {
            None => response.map_into_left_body(),
            Some(problem) => replaced(response, problem.render(&occurrence())),
        }),
        // A middleware gave up. There is no response to replace, so the error itself carries the rest.
        Err(error) => {
            let problem = problem_in(&error.error_response())
                .unwrap_or_else(|| Problem::of(error.as_response_error().status_code()));
            Err(problem.occurred(occurrence()).into())
        }
    }
}

/// The problem that a response stands for; `None` for a success.
fn problem_in<B>(response: &HttpResponse<B>) -> Option<Problem> {
    if let Some(problem) = response.extensions().get::<Problem>() {
        return Some(problem.clone());
    }
    let status = response.status();
    let rendered =
        response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == PROBLEM_JSON.as_bytes());
    let failed = status.is_client_error() || status.is_server_error();
    (failed && !rendered).then(|| Problem::of(status))
}

/// `response` with the body of `rendered`. Headers that say something about the request stay: `Allow`,
/// `Content-Range`, CORS.
fn replaced<B: MessageBody>(
    response: ServiceResponse<B>,
    mut rendered: HttpResponse,
) -> ServiceResponse<EitherBody<B>> {
    let (request, original) = response.into_parts();
    let own = rendered.headers().clone();
    for (name, value) in original.headers() {
        if !own.contains_key(name) && name != CONTENT_LENGTH && name != CONTENT_ENCODING {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, rendered.map_into_right_body())
}
