//! `GET /metrics`: what a scraper reads. It is no part of the API: its words are those of scrapers, and so is its token.

use crate::{ApiState, MetricsAccess};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE},
    },
    web::{self, Data, ServiceConfig},
};
use apidoc::Problem;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

/// Where the metrics are.
pub const PATH: &str = "/metrics";

/// Adds the page. Asked for with HEAD, the server leaves the body out.
pub fn configure(config: &mut ServiceConfig) {
    let page = web::resource(PATH).route(web::get().to(scrape)).route(web::head().to(scrape));
    config.service(page);
}

async fn scrape(state: Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let scrape = state.metrics.scrape().ok_or_else(|| Problem::of(StatusCode::NOT_FOUND))?;
    admit(&state.settings.metrics_access, &request)?;
    // Nothing is looked up for it, so it is done before another thread would have begun.
    let text = scrape.text().map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the metrics could not be told");
        Problem::of(StatusCode::INTERNAL_SERVER_ERROR)
    })?;
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, monitoring::CONTENT_TYPE));
    Ok(response.insert_header((CACHE_CONTROL, "no-store")).body(text))
}

fn admit(access: &MetricsAccess, request: &HttpRequest) -> Result<(), Problem> {
    match access {
        MetricsAccess::Open => Ok(()),
        MetricsAccess::Token(token) => {
            let given = bearer(request).unwrap_or_default();
            let is_right = bool::from(given.as_bytes().ct_eq(token.expose_secret().as_bytes()));
            is_right.then_some(()).ok_or_else(|| {
                crate::error::unauthenticated(
                    "CREDENTIALS_REFUSED",
                    "send Authorization: Bearer <METRICS_TOKEN>",
                )
            })
        }
        MetricsAccess::Refused => Err(refused()),
        MetricsAccess::Elsewhere => Err(Problem::of(StatusCode::NOT_FOUND)),
    }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// 403, with what to do about it.
fn refused() -> Problem {
    let detail = "nobody said who may read the metrics: set METRICS_TOKEN, or METRICS_PORT for a listener of their own";
    Problem::new(StatusCode::FORBIDDEN, "METRICS_CLOSED", detail)
}
