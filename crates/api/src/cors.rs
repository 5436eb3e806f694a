//! Which pages of other origins may call this server: those the operator listed, and no others.

use crate::{ApiSettings, idempotency::REPLAYED, request::REQUEST_ID, state::CorsOrigins};
use actix_cors::Cors;
use actix_web::http::{Method, header};

/// How long a browser may remember what it was allowed, in seconds.
const REMEMBERED_SECONDS: usize = 600;

/// The middleware for these settings; without listed origins it allows none.
pub fn middleware(settings: &ApiSettings) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE])
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT, REQUEST_ID])
        .allowed_headers([
            "last-event-id",
            "prefer",
            "traceparent",
            "idempotency-key",
            "if-match",
            "if-none-match",
        ])
        .expose_headers([header::LOCATION, header::LINK, header::RETRY_AFTER, header::CONTENT_DISPOSITION])
        .expose_headers([
            header::WWW_AUTHENTICATE,
            header::HeaderName::from_static("preference-applied"),
            REQUEST_ID,
        ])
        .expose_headers([header::ETAG, REPLAYED])
        .expose_headers([
            "ratelimit",
            "ratelimit-policy",
            "ratelimit-limit",
            "ratelimit-remaining",
            "ratelimit-reset",
        ])
        .max_age(REMEMBERED_SECONDS);
    match &settings.cors_origins {
        CorsOrigins::Any => cors.allow_any_origin(),
        CorsOrigins::These(origins) => origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin)),
    }
}
