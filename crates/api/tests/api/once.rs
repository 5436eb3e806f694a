//! Requests with an idempotency key.

use crate::world::World;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::time::Duration;

const SESSIONS: &str = "/api/v1/sessions";
const KEY: &str = "idempotency-key";

async fn sessions(world: &World) -> u64 {
    world.admin.get(SESSIONS).await.json()["total"].as_u64().unwrap()
}

#[actix_web::test]
async fn the_same_request_is_carried_out_once_and_answered_alike() {
    let world = World::new().await;
    let body = json!({"name": "one"});
    let first = world.alice.post_with(SESSIONS, body.clone(), &[(KEY, "\"k1\"")]).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""));
    // Bare, as most clients write it.
    let again = world.alice.post_with(SESSIONS, body.clone(), &[(KEY, "k1")]).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_eq!(again.body, first.body);
    assert_eq!(sessions(&world).await, 1);

    let other = world.alice.post_with(SESSIONS, json!({"name": "two"}), &[(KEY, "k1")]).await;
    assert_eq!((other.status, other.violations()), (422, vec!["#Idempotency-Key reused".to_owned()]));
    let bobs = world.bob.post_with(SESSIONS, body.clone(), &[(KEY, "k1")]).await;
    assert_eq!((bobs.status, bobs.header("idempotent-replayed")), (201, ""), "keys are each caller's own");
    let fork = format!("{SESSIONS}/{}/fork", first.json()["id"].as_str().unwrap());
    let elsewhere = world.alice.post_with(&fork, body.clone(), &[(KEY, "k1")]).await;
    assert_eq!(elsewhere.status, 422, "another address is another request");
    assert_eq!(sessions(&world).await, 2);

    world.clock.advance(SignedDuration::from_hours(25));
    let alice = world.anonymous.logged_in("alice@example.com").await;
    let next_day = alice.post_with(SESSIONS, body, &[(KEY, "k1")]).await;
    assert_eq!((next_day.status, next_day.header("idempotent-replayed")), (201, ""));
}

#[actix_web::test]
async fn a_secret_is_shown_again_to_its_maker_and_stored_in_no_clear_text() {
    let world = World::new().await;
    let path = "/api/v1/auth/api-keys";
    let first = world.alice.post_with(path, json!({"name": "ci"}), &[(KEY, "k")]).await;
    let again = world.alice.post_with(path, json!({"name": "ci"}), &[(KEY, "k")]).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json()["key"], again.json()["key"]);
    let stored = format!("{:?}", world.store);
    assert!(!stored.contains(first.json()["key"].as_str().unwrap()));
}

#[actix_web::test]
async fn an_answer_is_given_again_to_who_reaches_as_far() {
    let world = World::new().await;
    let path = "/api/v1/auth/api-keys";
    let key = async |scopes: Value| {
        let made = world.alice.post(path, json!({"name": "k", "scopes": scopes})).await;
        world.anonymous.with_token(made.json()["key"].as_str().unwrap())
    };
    let (wide, narrow) = (key(json!(["write"])).await, key(json!(["auth:write"])).await);
    let same = key(json!(["read", "write"])).await;
    let body = json!({"name": "ci", "scopes": ["write"]});
    let first = wide.post_with(path, body.clone(), &[(KEY, "k")]).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let refused = narrow.post_with(path, body.clone(), &[(KEY, "k")]).await;
    assert_eq!((refused.status, refused.violations()), (422, vec!["#Idempotency-Key reused".to_owned()]));
    assert!(!refused.text().contains(first.json()["key"].as_str().unwrap()));
    for client in [&same, &world.alice] {
        let again = client.post_with(path, body.clone(), &[(KEY, "k")]).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
        assert_eq!(again.body, first.body);
    }
}

#[actix_web::test]
async fn what_failed_may_come_again() {
    let world = World::new().await;
    let bad = world.alice.post_with(SESSIONS, json!({"nope": 1}), &[(KEY, "k")]).await;
    assert_eq!(bad.status, 422);
    let good = world.alice.post_with(SESSIONS, json!({}), &[(KEY, "k")]).await;
    assert_eq!((good.status, good.header("idempotent-replayed")), (201, ""));
    for key in ["", "a b", "\"open", &"x".repeat(256)] {
        let refused = world.alice.post_with(SESSIONS, json!({}), &[(KEY, key)]).await;
        assert_eq!(refused.status, 422, "{key:?}: {}", refused.text());
        assert!(refused.violations()[0].starts_with("#Idempotency-Key"), "{:?}", refused.violations());
    }
    let stranger = world.anonymous.post_with(SESSIONS, json!({}), &[(KEY, "k")]).await;
    assert_eq!((stranger.status, stranger.header("idempotent-replayed")), (401, ""));
    let reader = world.alice.post("/api/v1/auth/api-keys", json!({"name": "r", "scopes": ["read"]})).await;
    let reader = world.anonymous.with_token(reader.json()["key"].as_str().unwrap());
    let refused = reader.post_with(SESSIONS, json!({}), &[(KEY, "k")]).await;
    assert_eq!(
        refused.error_code(),
        "READ_ONLY",
        "an answer is not given to who might not have asked for it"
    );
}

#[actix_web::test]
async fn a_client_that_goes_away_finds_what_its_request_came_to() {
    let world = World::new().await;
    let session = world.session().await;
    let path = format!("{SESSIONS}/{session}/query");
    let body = json!({"message": "hang"});
    let impatient = world.alice.request(reqwest::Method::POST, &path).json(&body).header(KEY, "k");
    let impatient = impatient.timeout(Duration::from_millis(300)).build().unwrap();
    assert!(reqwest::Client::new().execute(impatient).await.unwrap_err().is_timeout());
    let meanwhile = world.alice.post_with(&path, body.clone(), &[(KEY, "k")]).await;
    assert_eq!((meanwhile.status, meanwhile.error_code().as_str()), (409, "IDEMPOTENT_REQUEST_RUNNING"));
    assert_eq!(meanwhile.header("retry-after"), "1");
    // As if its server had died, and said so no more.
    world.clock.advance(SignedDuration::from_secs(61));
    let lost = world.alice.post_with(&path, body.clone(), &[(KEY, "k")]).await;
    assert_eq!((lost.status, lost.error_code().as_str()), (409, "IDEMPOTENT_OUTCOME_UNKNOWN"));

    let stopped = world.alice.post(&format!("{SESSIONS}/{session}/interrupt"), json!({})).await;
    assert_eq!(stopped.status, 200, "{}", stopped.text());
    let looking = async {
        loop {
            let again = world.alice.post_with(&path, body.clone(), &[(KEY, "k")]).await;
            if again.status != 409 {
                return again;
            }
            tokio::task::yield_now().await;
        }
    };
    let again = tokio::time::timeout(crate::client::PATIENCE, looking).await.unwrap();
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"));
    assert_eq!(again.json()["status"], "interrupted");
    let turns = world.alice.get(&format!("{SESSIONS}/{session}/turns")).await.json();
    let turns = turns.as_array().or_else(|| turns["items"].as_array()).unwrap().len();
    assert_eq!(turns, 1, "it ran once");
}

#[actix_web::test]
async fn a_stream_is_known_again_and_not_given_again() {
    let world = World::new().await;
    let session = world.session().await;
    let path = format!("{SESSIONS}/{session}/query");
    let headers = [(KEY, "k"), ("accept", "text/event-stream")];
    let first = world.alice.post_with(&path, json!({"message": "hello"}), &headers).await;
    assert_eq!(first.status, 200);
    assert!(first.text().contains("event: result"), "{}", first.text());
    let again = world.alice.post_with(&path, json!({"message": "hello"}), &headers).await;
    assert_eq!((again.status, again.error_code().as_str()), (409, "ANSWER_NOT_KEPT"));
}

#[actix_web::test]
async fn strangers_register_once() {
    let world = World::new().await;
    let body = json!({"email": "eve@example.com", "password": crate::world::PASSWORD});
    let first = world.anonymous.post_with("/api/v1/auth/register", body.clone(), &[(KEY, "k")]).await;
    let again = world.anonymous.post_with("/api/v1/auth/register", body, &[(KEY, "k")]).await;
    assert_eq!((first.status, again.status, again.header("idempotent-replayed")), (201, 201, "true"));
}

/// Every operation that creates something says so, and takes a key; no other one does.
#[test]
fn the_document_says_which_requests_take_a_key() {
    let mut keyed = vec![];
    for (path, item) in api::document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let has = |name: &str| {
                let listed = operation["parameters"].as_array();
                listed.into_iter().flatten().any(|parameter: &Value| parameter["name"] == name)
            };
            let creates =
                method == "post" && ["201", "202"].iter().any(|s| operation["responses"].get(s).is_some());
            assert_eq!(has("Idempotency-Key"), creates, "{method} {path}");
            if creates {
                keyed.push(path.as_str());
            }
        }
    }
    for expected in
        ["/api/v1/sessions", "/api/v1/sessions/{id}/query", "/api/v1/auth/register", "/api/v1/hooks"]
    {
        assert!(keyed.contains(&expected), "{expected} of {keyed:?}");
    }
}
