//! Sends one request to the demo service, mounted as a server mounts it.

use crate::demo;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error, HttpMessage, HttpResponse};
use apidoc::{BodyLimit, Occurrence};
use bytes::Bytes;
use paperclip::actix::web::ServiceConfig;
use serde_json::Value;

/// Largest body the demo takes, in bytes.
pub(crate) const BODY_MAX: usize = 1024;

pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Pointer and code of each violation, as one text per violation.
    pub(crate) fn violations(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().into_iter().flatten();
        errors
            .map(|e| format!("{} {}", e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap()))
            .collect()
    }
}

async fn problems(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let instance = request.path().to_owned();
    apidoc::complete(next.call(request).await, || Occurrence {
        instance,
        trace_id: "trace-1".to_owned(),
        timestamp: "2026-11-22T17:00:00Z".to_owned(),
    })
}

/// A middleware that gives up on some addresses, before any route is asked.
async fn gate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    if request.path() == "/refused" {
        return Err(apidoc::Problem::new(StatusCode::FORBIDDEN, "REFUSED", "not here").into());
    }
    if request.path() == "/plain" {
        return Err(actix_web::error::ErrorBadGateway("secret detail"));
    }
    if request.path() == "/teapot" {
        let answer = HttpResponse::ImATeapot().insert_header(("x-kept", "yes")).body("secret detail");
        return Ok(request.into_response(answer).map_into_right_body());
    }
    request.extensions_mut().insert(BodyLimit(BODY_MAX));
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

pub(crate) async fn send(request: TestRequest) -> Received {
    let app = App::new()
        .wrap(from_fn(gate))
        .wrap(from_fn(problems))
        .configure(|config| demo::routes(&mut ServiceConfig::from(config)));
    let app = init_service(app).await;
    let request = request.insert_header(("authorization", "Bearer secret")).to_request();
    let response = match actix_web::dev::Service::call(&app, request).await {
        Ok(response) => response.into_parts().1.map_into_boxed_body(),
        // What the server does with an error that no middleware turned into an answer.
        Err(error) => error.error_response(),
    };
    let (status, headers) = (response.status(), response.headers().clone());
    let body = actix_web::body::to_bytes(response.into_body()).await.unwrap_or_default();
    Received { status, headers, body }
}

/// A POST of `body` as JSON.
pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> TestRequest {
    TestRequest::post().uri(path).insert_header(("content-type", "application/json")).set_payload(body.into())
}

pub(crate) fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}
