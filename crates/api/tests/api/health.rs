//! What probes are told.

use crate::world::{Plan, World};
use insta::assert_snapshot;
use monitoring::Check;
use std::time::Duration;

#[actix_web::test]
async fn a_healthy_server_is_live_and_ready() {
    let world = World::new().await;
    assert_snapshot!("live", world.anonymous.get("/health/live").await.shown());
    assert_snapshot!("ready", world.anonymous.get("/health/ready").await.shown());
    let mut health = world.anonymous.get("/api/v1/monitoring/health").await.json();
    for check in health["checks"].as_object_mut().unwrap().values_mut() {
        check["duration_ms"] = 0.into();
    }
    assert_snapshot!("health", format!("{health:#}"));
}

#[actix_web::test]
async fn readiness_says_what_fails_and_what_to_do() {
    let checks = vec![
        Check::required("database", || async { Ok(None) }),
        Check::required("claude_sdk", || async { Err("no claude found; run `npm install`".to_owned()) }),
        Check::optional("s3_storage", || async { Err("not needed".to_owned()) }),
    ];
    let world = World::of(Plan { checks, ..Plan::default() }).await;
    assert_snapshot!("not_ready", world.anonymous.get("/health/ready").await.shown());
    assert_eq!(world.anonymous.get("/health/live").await.status, 200);
    assert_eq!(world.anonymous.get("/api/v1/monitoring/health").await.json()["status"], "unhealthy");
}

#[actix_web::test]
async fn a_server_that_shuts_down_is_live_but_not_ready() {
    let world = World::new().await;
    world.state.sessions.shut_down(Duration::ZERO).await;
    assert_snapshot!("draining", world.anonymous.get("/health/ready").await.shown());
    assert_eq!(world.anonymous.get("/health/live").await.status, 200);
    let refused = world.alice.post("/api/v1/sessions", serde_json::json!({})).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "SHUTTING_DOWN"));
}
