//! Hooks over HTTP: made, changed, tried out, and refused by field.

use crate::world::{PASSWORD, World};
use serde_json::{Value, json};

/// An endpoint that decides, where nobody listens.
pub fn hook(name: &str) -> Value {
    json!({ "name": name, "url": "http://127.0.0.1:1/", "kind": "decision", "event_types": ["PreToolUse"] })
}

fn with(fields: Value) -> Value {
    let mut hook = hook("guard");
    hook.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    hook
}

#[actix_web::test]
async fn a_hook_is_made_changed_and_deleted_and_shows_its_secret_once() {
    let world = World::new().await;
    let made = world.alice.post("/api/v1/hooks", hook("guard")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made_json = made.json();
    let secret = made_json["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    assert_eq!(made_json["fail_mode"], "closed", "what decides fails closed");
    let path = format!("/api/v1/hooks/{}", made_json["id"].as_str().unwrap());
    assert_eq!(made.header("location"), path);
    assert_eq!(world.alice.post("/api/v1/hooks", hook("guard")).await.status, 409);
    assert_eq!(world.bob.post("/api/v1/hooks", hook("guard")).await.status, 201, "names are its owner's");

    let shown = world.alice.get(&path).await;
    assert!(!shown.text().contains("whsec_") && !shown.text().contains("secret\":"), "{}", shown.text());
    let patched =
        world.alice.patch(&path, json!({ "is_enabled": false, "tool_matcher": "Bash" })).await.json();
    assert_eq!((&patched["is_enabled"], &patched["tool_matcher"]), (&json!(false), &json!("Bash")));
    let patched = world.alice.patch(&path, json!({ "tool_matcher": null })).await.json();
    assert_eq!(patched["tool_matcher"], Value::Null);

    let rotated = world.alice.post(&format!("{path}/rotate-secret"), json!({})).await.json();
    assert_ne!(rotated["secret"], secret);
    assert!(rotated["old_secret_expires_at"].is_string());

    let tried = world.alice.post(&format!("{path}/test"), json!({})).await.json();
    assert_eq!((&tried["status"], &tried["attempts"]), (&json!("failed"), &json!(1)), "{tried}");
    assert_eq!(tried["error"], "the endpoint could not be reached");
    let sent = world.alice.get(&format!("{path}/deliveries")).await.json();
    assert_eq!(sent[0], tried);
    let again = format!("{path}/deliveries/{}/redeliver", tried["id"].as_str().unwrap());
    let again = world.alice.post(&again, json!({})).await;
    assert_eq!((again.status, &again.json()["status"]), (202, &json!("pending")));

    assert_eq!(world.alice.get("/api/v1/hooks").await.json()["total"], 1);
    assert_eq!(world.alice.delete(&path).await.status, 204);
    assert_eq!(world.alice.get(&path).await.status, 404);
}

#[actix_web::test]
async fn bad_hooks_are_refused_by_field() {
    let world = World::new().await;
    let table: Vec<(Value, &[&str])> = vec![
        (json!({ "name": "" }), &["/name length"]),
        (json!({ "name": "audit" }), &["/name reserved"]),
        (json!({ "url": "nowhere" }), &["/url url"]),
        (json!({ "url": "https://user:pass@example.org/" }), &["/url url"]),
        (json!({ "kind": "rumour" }), &["/kind enum"]),
        (json!({ "event_types": [] }), &["/event_types length"]),
        (json!({ "event_types": ["PreToolUse", "Lunch"] }), &["/event_types/1 enum"]),
        (json!({ "event_types": ["SessionEnd"] }), &["/event_types/0 enum"]),
        (json!({ "event_types": ["Stop"], "fail_mode": "closed" }), &["/event_types/0 unsupported"]),
        (json!({ "kind": "notification", "fail_mode": "closed" }), &["/fail_mode unsupported"]),
        (
            json!({ "kind": "notification", "event_types": ["WorktreeCreate"] }),
            &["/event_types/0 unsupported"],
        ),
        (json!({ "tool_matcher": "(" }), &["/tool_matcher pattern"]),
        (json!({ "timeout_ms": 99 }), &["/timeout_ms range"]),
        (json!({ "timeout_ms": 30_001 }), &["/timeout_ms range"]),
        (json!({ "secret": "mine" }), &["/secret unknown_field"]),
    ];
    let path = world.alice.post("/api/v1/hooks", hook("first")).await.header("location").to_owned();
    for (fields, violations) in table {
        let received = world.alice.post("/api/v1/hooks", with(fields.clone())).await;
        assert_eq!(received.status, 422, "{fields}: {}", received.text());
        assert_eq!(received.violations(), violations, "{fields}: {}", received.text());
        let received = world.alice.patch(&path, fields.clone()).await;
        assert_eq!(received.status, 422, "{fields}: {}", received.text());
    }
    assert_eq!(world.alice.get("/api/v1/hooks").await.json()["total"], 1, "nothing was made");
}

#[actix_web::test]
async fn only_admins_make_hooks_for_everybody() {
    let world = World::new().await;
    let everybodys = with(json!({ "is_global": true }));
    let refused = world.alice.post("/api/v1/hooks", everybodys.clone()).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "FORBIDDEN"));
    let path = world.alice.post("/api/v1/hooks", hook("mine")).await.header("location").to_owned();
    assert_eq!(world.alice.patch(&path, json!({ "is_global": true })).await.status, 403);
    assert_eq!(world.admin.post("/api/v1/hooks", everybodys).await.status, 201);

    // Who was one does not reach everybody any more, whatever was theirs.
    let ada = json!({ "email": "ada@example.com", "password": PASSWORD, "role": "admin" });
    let made = world.admin.post("/api/v1/admin/users", ada).await.json();
    let ada = world.anonymous.logged_in("ada@example.com").await;
    let guard = with(json!({ "name": "adas", "is_global": true }));
    let guard = ada.post("/api/v1/hooks", guard).await.header("location").to_owned();
    let user = format!("/api/v1/admin/users/{}", made["id"].as_str().unwrap());
    assert_eq!(world.admin.patch(&user, json!({ "role": "member" })).await.status, 200);
    for refused in [
        ada.delete(&guard).await,
        ada.post(&format!("{guard}/rotate-secret"), json!({})).await,
        ada.patch(&guard, json!({ "is_enabled": false })).await,
        // What it was sent is what agents of others do.
        ada.post(&format!("{guard}/test"), json!({})).await,
        ada.get(&format!("{guard}/deliveries")).await,
        ada.post(&format!("{guard}/deliveries/{}/redeliver", uuid::Uuid::nil()), json!({})).await,
    ] {
        assert_eq!((refused.status, refused.error_code().as_str()), (403, "FORBIDDEN"));
    }
    assert_eq!(ada.get(&guard).await.status, 200);
    assert_eq!(world.admin.delete(&guard).await.status, 204);

    let session = |names: Value| json!({ "hooks_enabled": names });
    assert_eq!(world.alice.post("/api/v1/sessions", session(json!(["mine", "guard"]))).await.status, 201);
    let unknown = world.bob.post("/api/v1/sessions", session(json!(["guard", "mine"]))).await;
    assert_eq!(unknown.violations(), ["/hooks_enabled/1 unknown"], "alice's is not there for bob");
}
