//! Every failure is a complete problem document, wherever it comes from.

use crate::demo::KNOWN;
use crate::http::{get, post, send};
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use actix_web::{HttpResponse, ResponseError};
use apidoc::{BadGateway, Fail, NotFound, Problem};
use serde_json::json;

#[actix_web::test]
async fn problems_are_complete_wherever_they_come_from() {
    let table = [
        (get("/nowhere"), 404, "NOT_FOUND"),
        (TestRequest::put().uri("/things"), 405, "METHOD_NOT_ALLOWED"),
        (get("/things?foo=1"), 422, "VALIDATION_FAILED"),
        (post("/things", "{"), 400, "INVALID_JSON"),
        (get("/things/x"), 404, "NOT_FOUND"),
        (get("/things/0190a000-0000-7000-8000-000000000002"), 404, "THING_NOT_FOUND"),
        (get("/refused"), 403, "REFUSED"),
        (get("/plain"), 502, "BAD_GATEWAY"),
        (get("/teapot"), 418, "I_M_A_TEAPOT"),
    ];
    for (request, status, code) in table {
        let received = send(request).await;
        let json = received.json();
        assert_eq!(received.status, status, "{json}");
        assert_eq!(received.header("content-type"), "application/problem+json", "{json}");
        assert_eq!(json["error_code"], code, "{json}");
        assert_eq!(json["status"], status);
        assert_eq!(json["trace_id"], "trace-1", "{json}");
        assert_eq!(json["timestamp"], "2026-11-22T17:00:00Z");
        assert!(json["instance"].as_str().unwrap().starts_with('/'), "{json}");
        assert!(!json.to_string().contains("secret detail"), "{json}");
    }
}

#[actix_web::test]
async fn a_problem_is_rendered_in_full() {
    let received = send(post("/things", r#"{"name":""}"#)).await;
    let expected = json!({
        "type": "/problems/validation-failed",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "the request has parts that are not acceptable, see errors",
        "instance": "/things",
        "error_code": "VALIDATION_FAILED",
        "trace_id": "trace-1",
        "timestamp": "2026-11-22T17:00:00Z",
        "errors": [{ "pointer": "/name", "code": "length", "message": "length: max 10, min 1" }],
    });
    assert_eq!(received.json(), expected);
}

#[actix_web::test]
async fn headers_of_failures_survive() {
    let busy = post("/things", r#"{"name":"a"}"#).insert_header(("idempotency-key", "busy"));
    let received = send(busy).await;
    assert_eq!((received.status.as_u16(), received.header("retry-after")), (429, "7"));

    let teapot = send(get("/teapot")).await;
    assert_eq!((teapot.status.as_u16(), teapot.header("x-kept")), (418, "yes"));

    let missing = Problem::new(StatusCode::UNAUTHORIZED, "X", "x")
        .with_header("www-authenticate".try_into().unwrap(), "Bearer".try_into().unwrap());
    assert_eq!(missing.error_response().headers().get("www-authenticate").unwrap(), "Bearer");
}

#[actix_web::test]
async fn success_passes_untouched() {
    let received = send(get(&format!("/things/{KNOWN}"))).await;
    assert_eq!((received.status.as_u16(), received.header("content-type")), (200, "application/json"));
}

#[test]
fn a_failure_set_takes_its_members_and_a_500() {
    for status in [StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY, StatusCode::INTERNAL_SERVER_ERROR] {
        let fail: Fail<(NotFound, BadGateway)> = Problem::of(status).into();
        let response: HttpResponse = fail.error_response();
        assert_eq!(response.status(), status);
    }
}

#[test]
#[should_panic(expected = "does not document CONFLICT (409)")]
#[cfg(debug_assertions)]
fn an_undocumented_failure_is_found_by_tests() {
    let _: Fail<(NotFound,)> = Problem::of(StatusCode::CONFLICT).into();
}
