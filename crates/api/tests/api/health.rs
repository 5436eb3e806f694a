//! What probes are told.

use crate::{
    client::Client,
    world::{Plan, World},
};
use insta::assert_snapshot;
use monitoring::{Check, Finding, Importance};
use serde_json::Value;
use std::time::Duration;

#[actix_web::test]
async fn a_healthy_server_is_live_and_ready() {
    let world = World::new().await;
    assert_snapshot!("live", world.anonymous.get("/health/live").await.shown());
    assert_snapshot!("ready", world.anonymous.get("/health/ready").await.shown());
    assert_snapshot!("health", format!("{:#}", health(&world.admin).await));
}

/// The health as this client sees it, without what differs from run to run.
async fn health(client: &Client) -> Value {
    let mut health = client.get("/api/v1/monitoring/health").await.json();
    for check in health["checks"].as_object_mut().unwrap().values_mut() {
        for varying in ["duration_ms", "age_ms"] {
            if let Some(figure) = check.get_mut(varying) {
                *figure = 0.into();
            }
        }
    }
    health
}

fn servers() -> Check {
    Check::telling("mcp_servers", Importance::Optional, || async {
        let parts = [("files", Ok(None)), ("mail", Err("mail.corp.example refused".to_owned()))];
        let parts = parts.map(|(name, outcome)| (name.to_owned(), outcome)).into();
        Ok(Finding { parts, ..Finding::default() })
    })
}

#[actix_web::test]
async fn admins_are_told_what_was_found_and_others_only_whether_all_is_well() {
    let sdk = Check::telling("claude_sdk", Importance::Required, || async {
        let detail = Some("2.1.330, answered within 5 ms".to_owned());
        Ok(Finding { detail, version: Some("2.1.330".to_owned()), ..Finding::default() })
    });
    let database = Check::required("database", || async { Err("db.corp.example:5432 is gone".to_owned()) });
    let storage = Check::optional("s3_storage", || async { Ok(Some("bucket of the house".to_owned())) });
    let checks = vec![sdk, database, storage, servers()];
    let world = World::of(Plan { checks, ..Plan::default() }).await;
    assert_snapshot!("health_for_admins", format!("{:#}", health(&world.admin).await));
    let paths = ["database", "sdk", "storage"].map(|path| format!("/api/v1/monitoring/health/{path}"));
    for path in &paths {
        assert_snapshot!(path.rsplit('/').next().unwrap(), world.admin.get(path).await.shown());
    }
    let lapsed = world.anonymous.with_token("stw_wrong");
    for client in [&world.anonymous, &world.alice, &lapsed] {
        let mut told = health(client).await.to_string();
        for path in paths.iter().map(String::as_str).chain(["/health/ready"]) {
            told.push_str(&client.get(path).await.text());
        }
        for secret in ["corp.example", "2.1.330", "bucket", "mail", "files"] {
            assert!(!told.contains(secret), "{secret}: {told}");
        }
        assert!(told.contains(r#""available":true"#) && told.contains("database fails"), "{told}");
        assert!(told.contains(r#"{"healthy":false,"detail":null}"#), "{told}");
    }
}

#[actix_web::test]
async fn a_server_that_fails_degrades_and_is_named_to_admins() {
    let world = World::of(Plan { checks: vec![servers()], ..Plan::default() }).await;
    let health = health(&world.admin).await;
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["checks"]["mcp_servers"]["mail"]["healthy"], false);
    assert_eq!(world.anonymous.get("/health/ready").await.status, 200);
    assert_eq!(world.anonymous.get("/api/v1/monitoring/health/database").await.json()["healthy"], false);
}

#[actix_web::test]
async fn readiness_says_what_fails_and_what_to_do() {
    let checks = vec![
        Check::required("database", || async { Ok(None) }),
        Check::required("claude_sdk", || async { Err("no claude found; run `npm install`".to_owned()) }),
        Check::optional("s3_storage", || async { Err("not needed".to_owned()) }),
    ];
    let world = World::of(Plan { checks, ..Plan::default() }).await;
    assert_snapshot!("not_ready", world.admin.get("/health/ready").await.shown());
    assert_snapshot!("not_ready_for_strangers", world.anonymous.get("/health/ready").await.shown());
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
