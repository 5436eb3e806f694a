//! What is around every answer: headers for browsers, compression, links, preferences, limits.

use crate::world::{Plan, World};
use api::{ApiSettings, Proxies};
use reqwest::Method;
use serde_json::json;
use std::{io::Read, time::Duration};

#[actix_web::test]
async fn browsers_are_told_to_be_careful() {
    let proxies = Proxies { trusted: vec!["127.0.0.0/8".parse().unwrap()], ..Proxies::default() };
    let hsts_max_age = Some(Duration::from_secs(300));
    let settings = ApiSettings { proxies, hsts_max_age, ..ApiSettings::default() };
    let world = World::of(Plan { settings, ..Plan::default() }).await;
    for path in ["/api/v1/auth/me", "/api/v1/nowhere", "/health/live", "/docs"] {
        let answer = world.alice.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("strict-transport-security"), "", "{path}: this came over no TLS");
    }
    let secure = world.alice.request(Method::GET, "/api/v1/auth/me");
    let secure = secure.header("x-forwarded-for", "203.0.113.1").header("x-forwarded-proto", "https");
    let secure = world.alice.send(secure).await;
    assert_eq!(secure.header("strict-transport-security"), "max-age=300");
    assert_eq!(secure.header("cache-control"), "no-store");
}

#[actix_web::test]
async fn long_texts_are_compressed_for_who_takes_that() {
    let world = World::new().await;
    for _ in 0..3 {
        world.session().await;
    }
    let ask = async |path: &str, encoding: &str| {
        world.alice.send(world.alice.request(Method::GET, path).header("accept-encoding", encoding)).await
    };
    let plain = ask("/api/v1/sessions", "identity").await;
    assert_eq!(plain.header("content-encoding"), "");
    let packed = ask("/api/v1/sessions", "gzip").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text());
    assert!(packed.body.len() < plain.body.len() / 2);
    assert_eq!(ask("/api/v1/openapi.json", "zstd").await.header("content-encoding"), "zstd");
    // Short, with credentials, or with a tag.
    for path in ["/health/live", "/api/v1/auth/api-keys", "/api/v1/auth/me"] {
        let answer = ask(path, "gzip").await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, ""), "{path}");
    }
    let session = world.session().await;
    let events = world.alice.request(Method::GET, &format!("/api/v1/sessions/{session}/events"));
    let events = world.alice.open(events.header("accept-encoding", "gzip, zstd")).await;
    assert!(!events.headers().contains_key("content-encoding"), "events come at once or not at all");
}

#[actix_web::test]
async fn collections_link_to_their_next_page() {
    let world = World::new().await;
    for _ in 0..3 {
        world.session().await;
    }
    let first = world.alice.get("/api/v1/sessions?limit=2").await;
    let next = first.json()["links"]["next"].as_str().unwrap().to_owned();
    assert_eq!(first.header("link"), format!("<{next}>; rel=\"next\""));
    let last = world.alice.get(&next).await;
    assert_eq!((last.json()["items"].as_array().unwrap().len(), last.header("link")), (1, ""));
}

#[actix_web::test]
async fn who_asks_for_little_gets_little() {
    let world = World::new().await;
    let minimal = [("prefer", "return=minimal")];
    let made = world.alice.post_with("/api/v1/sessions", json!({}), &minimal).await;
    assert_eq!((made.status, made.body.len()), (201, 0));
    assert_eq!(made.header("preference-applied"), "return=minimal");
    let path = made.header("location").to_owned();
    assert_eq!(world.alice.get(&path).await.status, 200);
    let patch = world.alice.request(Method::PATCH, &path).json(&json!({"name": "x"}));
    let patched = world.alice.send(patch.header("prefer", "return=minimal")).await;
    assert_eq!((patched.status, patched.body.len()), (204, 0));
    assert!(patched.header("etag").starts_with('"'));
    let refused = world.alice.request(Method::PATCH, &path).json(&json!({"nope": 1}));
    let refused = world.alice.send(refused.header("prefer", "return=minimal")).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (422, "VALIDATION_FAILED"));
    // What can be asked for is what the document offers.
    let offered = |method: &str, route: &str| {
        let parameters = &api::document()["paths"][route][method]["parameters"];
        parameters.as_array().into_iter().flatten().any(|one| one["name"] == "Prefer")
    };
    for (route, body) in [
        ("/api/v1/sessions", json!({})),
        ("/api/v1/session-templates", json!({"name": "t", "category": "custom"})),
        ("/api/v1/tasks", json!({"name": "t", "prompt_template": "hello"})),
        ("/api/v1/mcp-servers", json!({"name": "s", "server_type": "stdio", "command": "true"})),
    ] {
        let made = world.alice.post_with(route, body, &minimal).await;
        assert_eq!(made.status, 201, "{route}: {}", made.text());
        assert_eq!(made.body.is_empty(), offered("post", route), "{route}: {}", made.text());
    }
    let fork = world.alice.post_with(&format!("{path}/fork"), json!({}), &minimal).await;
    assert_eq!((fork.status, fork.body.len()), (201, 0), "{}", fork.text());
    assert!(offered("post", "/api/v1/sessions/{id}/fork") && offered("patch", "/api/v1/sessions/{id}"));
    // A secret that is shown once is shown.
    let task = world.alice.post("/api/v1/tasks", json!({"name": "t", "prompt_template": "hello"})).await;
    let hooked = world.alice.request(Method::PATCH, task.header("location"));
    let hooked = hooked.json(&json!({"notification_webhook": "https://example.com/hook"}));
    let hooked = world.alice.send(hooked.header("prefer", "return=minimal")).await;
    assert_eq!(hooked.status, 200, "{}", hooked.text());
    assert!(hooked.json()["webhook_secret"].is_string() && !offered("patch", "/api/v1/tasks/{id}"));
    let key = world.alice.post_with("/api/v1/auth/api-keys", json!({"name": "k"}), &minimal).await;
    assert!(key.json()["key"].is_string());
}

#[actix_web::test]
async fn a_prompt_is_waited_for_as_long_as_was_said() {
    let world = World::new().await;
    let path = format!("/api/v1/sessions/{}/query", world.session().await);
    let prefer = [("prefer", "respond-async, wait=60")];
    let done = world.alice.post_with(&path, json!({"message": "hello"}), &prefer).await;
    assert_eq!((done.status, &done.json()["status"]), (200, &json!("completed")));
    assert_eq!(done.header("preference-applied"), "respond-async, wait=60");
    let prefer = [("prefer", "respond-async, wait=1")];
    let begun = world.alice.post_with(&path, json!({"message": "hang"}), &prefer).await;
    assert_eq!((begun.status, &begun.json()["status"]), (202, &json!("running")));
    assert_eq!(begun.header("preference-applied"), "respond-async, wait=1");
}
