//! Metrics as scrapers and people read them.

use crate::{
    client::Client,
    world::{Plan, World},
};
use actix_web::{HttpServer, web::Data};
use api::{ApiSettings, ApiState, MetricsAccess};
use reqwest::Method;
use serde_json::json;

const TOKEN: &str = "a token of the scraper";

async fn world(access: MetricsAccess) -> World {
    let settings = ApiSettings { metrics_access: access, ..ApiSettings::default() };
    World::of(Plan { settings, ..Plan::default() }).await
}

/// The value of a series; 0 if there is none.
fn value(scraped: &str, series: &str) -> f64 {
    let line = scraped.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

async fn scrape(client: &Client) -> String {
    let received = client.get("/metrics").await;
    assert_eq!(received.status, 200, "{}", received.text());
    assert_eq!(received.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    received.text()
}

#[actix_web::test]
async fn what_happened_is_in_the_next_scrape() {
    let world = world(MetricsAccess::Open).await;
    let session = world.session().await;
    for prompt in ["hello", "tool", "die"] {
        world.alice.post(&format!("/api/v1/sessions/{session}/query"), json!({"message": prompt})).await;
    }
    let _missing = world.alice.get("/nowhere/at/all").await;
    let odd = Method::from_bytes(b"BREW").unwrap();
    world.anonymous.send(world.anonymous.request(odd, "/health/live")).await;

    let scraped = scrape(&world.anonymous).await;
    for (series, at_least) in [
        (r#"steward_turns_total{mode="interactive",outcome="completed"}"#, 2.0),
        (r#"steward_turns_total{mode="interactive",outcome="failed"}"#, 1.0),
        (r#"steward_agent_starts_total{outcome="started"}"#, 1.0),
        (
            r#"http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="200",http_route="/api/v1/sessions/{id}/query"}"#,
            2.0,
        ),
        (
            r#"http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404",http_route="none"}"#,
            1.0,
        ),
        // The scrape itself.
        ("http_server_active_requests", 1.0),
    ] {
        assert!(value(&scraped, series) >= at_least, "{series} is {} in\n{scraped}", value(&scraped, series));
    }
    assert!(scraped.contains(r#"http_request_method="_OTHER""#), "{scraped}");
    assert!(!scraped.contains(&session), "an id is in a label");
    assert!(!scraped.contains("BREW") && !scraped.contains("nowhere"), "{scraped}");

    let head = world.anonymous.send(world.anonymous.request(Method::HEAD, "/metrics")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(world.anonymous.post("/metrics", json!({})).await.status, 405);
}

#[actix_web::test]
async fn a_scraper_needs_the_token_where_there_is_one() {
    let world = world(MetricsAccess::Token(TOKEN.to_owned().into())).await;
    for client in [&world.anonymous, &world.admin, &world.anonymous.with_token("a token of the scrapes")] {
        let refused = client.get("/metrics").await;
        assert_eq!((refused.status, refused.error_code().as_str()), (401, "CREDENTIALS_REFUSED"));
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
    }
    scrape(&world.anonymous.with_token(TOKEN)).await;
    // It opens nothing else.
    assert_eq!(world.anonymous.with_token(TOKEN).get("/api/v1/sessions").await.status, 401);
}

#[actix_web::test]
async fn metrics_that_nobody_opened_are_closed() {
    let world = world(MetricsAccess::default()).await;
    let refused = world.admin.get("/metrics").await;
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "METRICS_CLOSED"));
}

#[actix_web::test]
async fn metrics_with_a_listener_of_their_own_are_there_alone() {
    let world = world(MetricsAccess::Elsewhere).await;
    assert_eq!(world.anonymous.get("/metrics").await.status, 404);
    let settings = ApiSettings { metrics_access: MetricsAccess::Open, ..world.state.settings.clone() };
    let state = Data::new(ApiState { settings, ..ApiState::clone(&world.state) });
    let server = HttpServer::new(move || api::metrics_app(state.clone())).workers(1).disable_signals();
    let server = server.bind(("127.0.0.1", 0)).unwrap();
    let own = world.anonymous.at(&server.addrs()[0].to_string());
    let running = server.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    scrape(&own).await;
    assert_eq!(own.get("/api/v1/monitoring/health").await.status, 404);
    assert_eq!(own.get("/health/live").await.status, 404);
    handle.stop(false).await;
}

#[actix_web::test]
async fn a_server_without_metrics_has_none() {
    let settings = ApiSettings { metrics_access: MetricsAccess::Open, ..ApiSettings::default() };
    let world = World::of(Plan { settings, is_measured: false, ..Plan::default() }).await;
    assert_eq!(world.anonymous.get("/metrics").await.status, 404);
    let performance = world.admin.get("/api/v1/monitoring/performance").await;
    assert_eq!((performance.status, performance.error_code().as_str()), (404, "METRICS_OFF"));
    // Sessions are measured all the same; that is their own data.
    let session = world.session().await;
    assert_eq!(world.alice.get(&format!("/api/v1/sessions/{session}/metrics/current")).await.status, 200);
}

#[actix_web::test]
async fn an_admin_sees_how_fast_the_server_is() {
    let world = World::new().await;
    let session = world.session().await;
    world.alice.post(&format!("/api/v1/sessions/{session}/query"), json!({"message": "hello"})).await;
    let path = "/api/v1/monitoring/performance";
    assert_eq!(world.alice.get(path).await.status, 403);
    let performance = world.admin.get(path).await.json();
    for window in ["last_minute", "last_5_minutes", "last_hour"] {
        let queries = &performance["queries"][window];
        assert_eq!(queries["count"], 1, "{performance}");
        assert!(queries["p50_ms"].as_f64().unwrap() > 0.0, "{performance}");
        assert_eq!(performance["tools"][window]["count"], 0);
        assert!(performance["tools"][window]["p50_ms"].is_null());
    }
}

#[actix_web::test]
async fn a_session_shows_how_its_figures_went() {
    let world = World::new().await;
    let session = world.session().await;
    let path = |rest: &str| format!("/api/v1/sessions/{session}/{rest}");
    world.alice.post(&path("query"), json!({"message": "tool"})).await;
    assert_eq!(world.alice.get(&path("metrics/history")).await.json(), json!([]));
    let current = world.alice.get(&path("metrics/current")).await.json();
    assert_eq!(current["total_tool_calls"], 1);
    assert!(current["avg_tool_duration_ms"].is_number(), "{current}");
    let of_session = world.alice.get(&format!("/api/v1/monitoring/metrics/session/{session}")).await.json();
    assert_eq!(of_session["session_id"], session.as_str());
    assert_eq!(of_session["total_duration_ms"], current["duration_ms"]);
    assert_eq!(of_session["total_tool_calls"], 1);

    // Its end leaves one.
    assert_eq!(world.alice.delete(&path("")[..path("").len() - 1]).await.status, 204);
    let history = world.alice.get(&path("metrics/history?limit=1")).await;
    let kept = history.json();
    assert_eq!(kept.as_array().unwrap().len(), 1, "{kept}");
    assert_eq!(kept[0]["total_tool_calls"], 1);
    assert_eq!(world.alice.get(&path("metrics/snapshots")).await.json(), kept);
    assert_eq!(world.bob.get(&path("metrics/history")).await.status, 404);
}
