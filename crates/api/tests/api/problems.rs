//! Failures that no handler sees, and what every answer carries.

use crate::world::{Plan, World};
use api::{ApiSettings, CorsOrigins};
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::json;

#[actix_web::test]
async fn an_unknown_address_and_a_wrong_method_are_problems() {
    let world = World::new().await;
    for path in ["/", "/api/v1/nothing", "/api/v1/sessions/", "/api/v1/sessions/x/y/z"] {
        let received = world.anonymous.get(path).await;
        assert_eq!((received.status, received.error_code().as_str()), (404, "NOT_FOUND"), "{path}");
    }
    assert_snapshot!("not_found", world.anonymous.get("/nowhere?secret=1").await.shown());
    assert_snapshot!("wrong_method", world.alice.delete("/api/v1/sessions").await.shown());
}

#[actix_web::test]
async fn bodies_that_cannot_be_read_are_problems() {
    let settings = ApiSettings { body_bytes_max: 1000, ..ApiSettings::default() };
    let world = World::of(Plan { settings, ..Plan::default() }).await;
    let path = "/api/v1/sessions";
    assert_snapshot!("bad_json", world.alice.post_text(path, "{").await.shown());
    assert_snapshot!("too_large", world.alice.post_text(path, &" ".repeat(1001)).await.shown());
    let typeless = world.alice.send(world.alice.request(Method::POST, path).body("{}")).await;
    assert_eq!((typeless.status, typeless.error_code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"));
}

#[actix_web::test]
async fn a_request_keeps_its_id_and_its_trace() {
    let world = World::new().await;
    let ask = |headers: &[(&'static str, &'static str)]| {
        let mut request = world.anonymous.request(Method::GET, "/nowhere");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
    };
    let given = world.anonymous.send(ask(&[("x-request-id", "req-1")])).await;
    assert_eq!(given.header("x-request-id"), "req-1");
    assert_eq!(given.json()["trace_id"].as_str().map(str::len), Some(32), "a trace of its own");

    let unfit = world.anonymous.send(ask(&[("x-request-id", "<b>")])).await;
    assert_eq!(unfit.header("x-request-id").len(), 32);

    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traced = world
        .anonymous
        .send(ask(&[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]))
        .await;
    assert_eq!(traced.json()["trace_id"], trace);
    assert_eq!(traced.header("x-request-id").len(), 32);
    assert_eq!(traced.json()["instance"], "/nowhere");

    let good = world.anonymous.get("/health/live").await;
    assert_eq!(good.header("x-request-id").len(), 32);
    assert_eq!(good.header("x-content-type-options"), "nosniff");
}

#[actix_web::test]
async fn only_listed_origins_may_read_answers() {
    let world = World::new().await;
    for (origin, allowed) in
        [("https://app.example.com", "https://app.example.com"), ("https://evil.example", "")]
    {
        let request = world.alice.request(Method::GET, "/api/v1/sessions").header("origin", origin);
        let received = world.alice.send(request).await;
        assert_eq!(received.status, 200);
        assert_eq!(received.header("access-control-allow-origin"), allowed);
        // A page must also be able to read why it was refused.
        let request = world.anonymous.request(Method::GET, "/api/v1/sessions").header("origin", origin);
        let received = world.anonymous.send(request).await;
        assert_eq!((received.status, received.header("access-control-allow-origin")), (401, allowed));
    }
    let preflight = world
        .anonymous
        .request(Method::OPTIONS, "/api/v1/sessions")
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization, content-type, prefer, last-event-id");
    let allowed = world.anonymous.send(preflight).await;
    assert_eq!(allowed.status, 200, "{}", allowed.text());
    assert!(allowed.header("access-control-allow-methods").contains("POST"));
}

#[actix_web::test]
async fn any_origin_may_read_answers_where_the_operator_says_so() {
    let settings = ApiSettings { cors_origins: CorsOrigins::Any, ..ApiSettings::default() };
    let world = World::of(Plan { settings, ..Plan::default() }).await;
    let request =
        world.alice.request(Method::GET, "/api/v1/sessions").header("origin", "https://any.example");
    let received = world.alice.send(request).await;
    assert_eq!(received.status, 200);
    assert_eq!(received.header("access-control-allow-origin"), "https://any.example");
}

#[actix_web::test]
async fn no_agent_on_the_machine_says_what_to_do() {
    let cli = Err("no claude found; set CLAUDE_CLI_PATH".to_owned());
    let world = World::of(Plan { cli, ..Plan::default() }).await;
    let session = world.session().await;
    let refused =
        world.alice.post(&format!("/api/v1/sessions/{session}/query"), json!({"message": "hello"})).await;
    assert_snapshot!("no_agent", refused.shown());
}
