//! Roles and the scopes of keys: what each operation needs, and what it refuses.

use crate::{
    client::{Client, PATIENCE},
    events::Events,
    stream::Socket,
    world::{PASSWORD, Plan, World},
};
use api::ApiSettings;
use domain::{Access, Area};
use engine::Registration;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const KEYS: &str = "/api/v1/auth/api-keys";

async fn key(world: &World, scopes: Value) -> Client {
    let made = world.alice.post(KEYS, json!({"name": "key", "scopes": scopes})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    world.anonymous.with_token(made.json()["key"].as_str().unwrap())
}

async fn viewer(world: &World) -> Client {
    let body = json!({"email": "vera@example.com", "password": PASSWORD, "role": "viewer"});
    let made = world.admin.post("/api/v1/admin/users", body).await;
    assert_eq!((made.status, &made.json()["role"]), (201, &json!("viewer")), "{}", made.text());
    world.anonymous.logged_in("vera@example.com").await
}

#[actix_web::test]
async fn a_key_reaches_what_its_scopes_name() {
    let world = World::new().await;
    let session = world.session().await;
    let reader = key(&world, json!(["sessions:read"])).await;
    assert_eq!(reader.get("/api/v1/sessions").await.status, 200);
    let events = reader.request(reqwest::Method::GET, &format!("/api/v1/sessions/{session}/events"));
    assert_eq!(reader.open(events).await.status(), 200, "its head is enough: it has no end");
    let refused = reader.get("/api/v1/hooks").await;
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "SCOPE_MISSING"));
    assert_eq!(refused.json()["scope"], "hooks:read");
    assert_eq!(reader.post("/api/v1/sessions", json!({})).await.error_code(), "READ_ONLY");

    let writer = key(&world, json!(["sessions:*", "monitoring:read"])).await;
    assert_eq!(writer.post("/api/v1/sessions", json!({})).await.status, 201);
    assert_eq!(writer.get("/api/v1/monitoring/alerts").await.status, 200);
    let refused = writer.post("/api/v1/hooks", crate::hooks::hook("guard")).await;
    assert_eq!((refused.status, &refused.json()["scope"]), (403, &json!("hooks:write")));
    let approvals = writer.get(&format!("/api/v1/sessions/{session}/approvals")).await;
    assert_eq!(approvals.json()["scope"], "approvals:read");
}

#[actix_web::test]
async fn a_key_makes_no_key_that_reaches_further() {
    let world = World::new().await;
    let limited = key(&world, json!(["auth:write", "sessions:read"])).await;
    let refused = limited.post(KEYS, json!({"name": "more", "scopes": ["sessions:write"]})).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "FORBIDDEN"));
    assert_eq!(limited.post(KEYS, json!({"name": "all"})).await.status, 403);
    let made = limited.post(KEYS, json!({"name": "less", "scopes": ["sessions:read"]})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let listed = world.alice.get(KEYS).await.json();
    assert_eq!(listed["items"][0]["scopes"], json!(["sessions:read"]));
}

#[actix_web::test]
async fn scopes_are_words_that_there_are() {
    let world = World::new().await;
    for scopes in
        [json!([]), json!(["sessions"]), json!(["nothing:read"]), json!(["sessions:delete"]), json!([7])]
    {
        let refused = world.alice.post(KEYS, json!({"name": "k", "scopes": scopes})).await;
        assert_eq!(refused.status, 422, "{scopes}: {}", refused.text());
    }
    let full = world.alice.post(KEYS, json!({"name": "k"})).await.json();
    assert_eq!(full["scopes"], json!(["read", "write"]));
}

#[actix_web::test]
async fn a_viewer_reads_their_own_and_changes_nothing() {
    let world = World::new().await;
    let session = world.session().await;
    let vera = viewer(&world).await;
    assert_eq!(vera.get("/api/v1/sessions").await.json()["total"], 0);
    assert_eq!(vera.get(&format!("/api/v1/sessions/{session}")).await.status, 404);
    assert_eq!(vera.get("/api/v1/admin/users").await.status, 403);
    let mut refused = 0;
    for (path, item) in api::document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let is_secured = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
            let needs = operation["security"][0]["bearer"].clone();
            let reads = needs[0].as_str().is_some_and(|scope| scope.ends_with(":read"));
            if !is_secured || method == "get" || reads || path.contains("/logout") {
                continue;
            }
            let path = path.replace("{id}", &session).replace(['{', '}'], "");
            let method = method.to_uppercase().parse().unwrap();
            let answer = vera.send(vera.request(method, &path).json(&json!({}))).await;
            assert_eq!(
                (answer.status, answer.error_code().as_str()),
                (403, "READ_ONLY"),
                "{}",
                answer.request
            );
            refused += 1;
        }
    }
    assert!(refused > 25, "{refused}");
    assert_eq!(vera.post("/api/v1/auth/logout", json!({})).await.status, 204, "everybody may leave");
}

#[actix_web::test]
async fn a_member_who_becomes_a_viewer_is_one_with_the_next_request() {
    let world = World::new().await;
    let id = world.id(&world.alice).await;
    let old_key = key(&world, json!(["write"])).await;
    let demoted = world.admin.patch(&format!("/api/v1/admin/users/{id}"), json!({"role": "viewer"})).await;
    assert_eq!(demoted.status, 200, "{}", demoted.text());
    for client in [&world.alice, &old_key] {
        assert_eq!(client.post("/api/v1/sessions", json!({})).await.error_code(), "READ_ONLY");
        assert_eq!(client.get("/api/v1/sessions").await.status, 200);
    }
}

/// The streams of this world hardly ever look at their credentials by themselves: what ends them was told.
#[actix_web::test]
async fn a_disabled_account_is_out_of_everything_at_once() {
    let settings = ApiSettings { stream_check_interval: Duration::from_secs(3600), ..ApiSettings::default() };
    let world = World::of(Plan { settings, ..Plan::default() }).await;
    let session = world.session().await;
    let key = key(&world, json!(["write"])).await;
    let path = format!("/api/v1/sessions/{session}/events");
    let mut streams = vec![];
    let mut socket = Socket::open(&world, &world.alice, &session, "").await;
    socket.hear().await;
    for client in [&world.alice, &key] {
        streams.push(Events::open(client, &path, &[]).await);
    }
    let id = world.id(&world.alice).await;
    let disabled = world.admin.patch(&format!("/api/v1/admin/users/{id}"), json!({"is_active": false})).await;
    assert_eq!(disabled.status, 200);
    for client in [&world.alice, &key] {
        assert_eq!(client.get("/api/v1/auth/me").await.status, 401);
    }
    assert_eq!(socket.closed().await, CloseCode::Policy);
    for stream in &mut streams {
        let mut last = None;
        while let Some(event) = timeout(PATIENCE, stream.next_event()).await.unwrap() {
            last = Some(event);
        }
        let last = last.unwrap();
        assert_eq!((last.name.as_str(), &last.data["reason"]), ("closing", &json!("credential_ended")));
    }
}

#[actix_web::test]
async fn guessing_is_slowed_down_and_tells_nothing() {
    let world = World::new().await;
    let login = async |email: &str, password: &str| {
        world.anonymous.post("/api/v1/auth/login", json!({"email": email, "password": password})).await
    };
    for email in ["bob@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            assert_eq!(login(email, "wrong").await.status, 401);
        }
        let refused = login(email, "wrong").await;
        assert_eq!((refused.status, refused.error_code().as_str()), (429, "TOO_MANY_LOGINS"), "{email}");
        assert_eq!(refused.header("retry-after"), "1");
    }
    assert_eq!(login("bob@example.com", PASSWORD).await.status, 429, "not even the right one is looked at");
    world.clock.advance(jiff::SignedDuration::from_secs(1));
    assert_eq!(login("bob@example.com", PASSWORD).await.status, 200);
    assert_eq!(login("bob@example.com", "wrong").await.status, 401, "and it is forgiven");
    assert_eq!(login("alice@example.com", PASSWORD).await.status, 200, "others do not wait");
}

#[actix_web::test]
async fn nobody_registers_where_it_is_closed() {
    let world = World::of(Plan { registration: Registration::Closed, ..Plan::default() }).await;
    let body = json!({"email": "eve@example.com", "password": PASSWORD});
    assert_eq!(world.anonymous.post("/api/v1/auth/register", body).await.status, 403);
}

/// Whoever adds an address names what a key needs for it.
#[test]
fn every_operation_with_a_credential_names_its_scope() {
    for (path, item) in api::document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for scheme in operation["security"].as_array().into_iter().flatten() {
                let scopes: Vec<_> = scheme.as_object().unwrap().values().collect();
                let named = scopes[0].as_array().unwrap();
                assert_eq!(named.len(), 1, "{method} {path}");
                let scope = named[0].as_str().unwrap();
                assert!(Access::parse(scope).is_some() && scope.contains(':'), "{method} {path}: {scope}");
                let area = scope.split(':').next().unwrap();
                assert!(Area::parse(area).is_some());
                assert!(operation["responses"].get("403").is_some(), "{method} {path}");
            }
        }
    }
}
