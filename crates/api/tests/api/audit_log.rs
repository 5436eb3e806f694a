//! The audit log as an admin reads it, and nobody else.

use crate::world::{PASSWORD, World};
use domain::audit::Verifier;
use serde_json::{Value, json};

const LOG: &str = "/api/v1/admin/audit-log";

#[actix_web::test]
async fn only_an_admin_reads_it() {
    let world = World::new().await;
    let head = world.state.audit.head().await.unwrap();
    for path in [LOG, "/api/v1/admin/audit-log/export"] {
        let refused = world.alice.get(path).await;
        assert_eq!((refused.status, refused.error_code().as_str()), (403, "FORBIDDEN"), "{path}");
        assert!(!refused.text().contains("prev_hash"), "{}", refused.text());
    }
    assert_eq!(world.state.audit.head().await.unwrap(), head, "a refused export is no export");
}

#[actix_web::test]
async fn an_entry_says_who_did_what_from_where() {
    let world = World::new().await;
    let session = world.session().await;
    let request = world
        .anonymous
        .request(reqwest::Method::POST, "/api/v1/auth/login")
        .header("x-request-id", "the-attempt")
        .json(&json!({"email": "alice@example.com", "password": "wrong wrong wrong"}));
    assert_eq!(world.anonymous.send(request).await.status, 401);
    let me = world.alice.get("/api/v1/auth/me").await.json();

    let created = one(&world, &format!("?session_id={session}")).await;
    assert_eq!(created["action"], "session.created");
    assert_eq!(created["actor"], json!({"type": "user", "user_id": me["id"], "api_key_id": null}));
    assert_eq!(created["subject"], json!({"type": "session", "id": session}));
    assert_eq!(created["ip_address"], "127.0.0.1");
    assert_eq!(created["request_id"].as_str().unwrap().len(), 32);
    assert_eq!(created["data"]["mode"], "interactive");

    let failed = one(&world, "?action=login.failed").await;
    assert_eq!(failed["actor"]["type"], "anonymous");
    assert_eq!(failed["subject"], json!({"type": "user", "id": me["id"]}));
    assert_eq!(failed["request_id"], "the-attempt");
    assert_eq!(failed["data"], json!({"reason": "wrong_password"}));

    let key = world.alice.post("/api/v1/auth/api-keys", json!({"name": "ci"})).await.json();
    let script = world.anonymous.with_token(key["key"].as_str().unwrap());
    assert_eq!(script.delete(&format!("/api/v1/sessions/{session}")).await.status, 204);
    let by_key = one(&world, &format!("?actor={}", key["id"].as_str().unwrap())).await;
    assert_eq!(by_key["action"], "session.terminated");
    assert_eq!(by_key["actor"], json!({"type": "api_key", "user_id": me["id"], "api_key_id": key["id"]}));
}

#[actix_web::test]
async fn pages_follow_each_other_and_filters_say_what_they_take() {
    let world = World::new().await;
    let first = world.admin.get(&format!("{LOG}?limit=2")).await;
    assert_eq!(numbers(&first.json()), [1, 2]);
    let next = first.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    assert_eq!(numbers(&world.admin.get(&next).await.json()), [3, 4]);
    let all = world.admin.get(LOG).await;
    assert_eq!(all.header("link"), "");
    let none = world.admin.get(&format!("{LOG}?to=2001-01-01T00:00:00Z")).await;
    assert_eq!(none.json(), json!([]));
    for bad in ["action=Login%25", "limit=0", "from=yesterday", "actor=alice", "user=x"] {
        let refused = world.admin.get(&format!("{LOG}?{bad}")).await;
        assert_eq!(refused.status, 422, "{bad}: {}", refused.text());
    }
}

#[actix_web::test]
async fn an_export_is_the_chain_and_says_that_it_was_taken() {
    let world = World::new().await;
    // More than one batch.
    for _ in 0..600 {
        world.session().await;
    }
    let export = world.admin.get(&format!("{LOG}/export")).await;
    assert_eq!((export.status, export.header("content-type")), (200, "application/x-ndjson"));
    let text = export.text();
    let mut verifier = Verifier::from(1).reaching(world.state.audit.head().await.unwrap());
    for line in text.lines() {
        verifier.take_line(line).unwrap();
    }
    assert!(verifier.finish().unwrap().entries > 600);
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["action"], &last["data"]), (&json!("audit.exported"), &json!({"after_seq": "0"})));

    let from = last["seq"].as_u64().unwrap();
    let rest = world.admin.get(&format!("{LOG}/export?after_seq={from}")).await.text();
    let mut lines = rest.lines();
    let only: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!((only["seq"].as_u64(), &only["prev_hash"]), (Some(from + 1), &last["hash"]));
    assert_eq!(lines.next(), None);
    assert_eq!(world.admin.get(&format!("{LOG}/export?after_seq=99999")).await.text(), "");
    assert!(!text.contains(PASSWORD));
}

/// The only entry of this list.
async fn one(world: &World, query: &str) -> Value {
    let found = world.admin.get(&format!("{LOG}{query}")).await.json();
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{query}: {found}");
    found[0].clone()
}

fn numbers(page: &Value) -> Vec<u64> {
    page.as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}
