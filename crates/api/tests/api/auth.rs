//! Logins, keys and accounts.

use crate::world::{PASSWORD, Plan, World};
use engine::Registration;
use insta::assert_snapshot;
use serde_json::json;

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const KEYS: &str = "/api/v1/auth/api-keys";

#[actix_web::test]
async fn a_login_gives_tokens_that_work() {
    let world = World::new().await;
    let tokens =
        world.anonymous.post(LOGIN, json!({"email": "Alice@Example.com", "password": PASSWORD})).await;
    assert_snapshot!("login", tokens.shown());
    let me = world.anonymous.with_token(tokens.json()["access_token"].as_str().unwrap());
    assert_snapshot!("me", me.get("/api/v1/auth/me").await.shown());
}

#[actix_web::test]
async fn a_wrong_password_and_an_unknown_address_are_one_answer() {
    let world = World::new().await;
    let wrong = world.anonymous.post(LOGIN, json!({"email": "alice@example.com", "password": "no"})).await;
    let unknown = world.anonymous.post(LOGIN, json!({"email": "nobody@example.com", "password": "no"})).await;
    assert_snapshot!("login_refused", wrong.shown());
    assert_eq!(wrong.shown(), unknown.shown());
}

#[actix_web::test]
async fn refresh_tokens_rotate_and_reuse_ends_the_login() {
    let world = World::new().await;
    let first =
        world.anonymous.post(LOGIN, json!({"email": "alice@example.com", "password": PASSWORD})).await.json();
    let second = world.anonymous.post(REFRESH, json!({"refresh_token": first["refresh_token"]})).await;
    assert_snapshot!("refresh", second.shown());
    let alice = world.anonymous.with_token(second.json()["access_token"].as_str().unwrap());
    assert_eq!(alice.get("/api/v1/auth/me").await.status, 200);

    let reused = world.anonymous.post(REFRESH, json!({"refresh_token": first["refresh_token"]})).await;
    assert_eq!((reused.status, reused.error_code().as_str()), (401, "CREDENTIALS_REFUSED"));
    assert_eq!(alice.get("/api/v1/auth/me").await.status, 401, "the thief's tokens end too");
}

#[actix_web::test]
async fn logging_out_ends_one_login_or_all() {
    let world = World::new().await;
    let other = world.anonymous.logged_in("alice@example.com").await;
    assert_snapshot!("logout", world.alice.post("/api/v1/auth/logout", json!({})).await.shown());
    assert_eq!(world.alice.get("/api/v1/auth/me").await.status, 401);
    assert_eq!(other.get("/api/v1/auth/me").await.status, 200);

    let third = world.anonymous.logged_in("alice@example.com").await;
    assert_eq!(third.post("/api/v1/auth/logout-all", json!({})).await.status, 204);
    assert_eq!(other.get("/api/v1/auth/me").await.status, 401);
    assert_eq!(third.get("/api/v1/auth/me").await.status, 401);
}

#[actix_web::test]
async fn api_keys_are_made_listed_used_and_deleted() {
    let world = World::new().await;
    let made = world.alice.post(KEYS, json!({"name": "ci", "expires_at": "2027-01-01T00:00:00Z"})).await;
    assert_snapshot!("api_key_made", made.shown());
    let key = world.anonymous.with_token(made.json()["key"].as_str().unwrap());
    assert_eq!(key.post("/api/v1/sessions", json!({})).await.status, 201);
    assert_snapshot!("api_keys", world.alice.get(KEYS).await.shown());
    assert_eq!(world.bob.get(KEYS).await.json()["total"], 0);
    assert_eq!(key.post("/api/v1/auth/logout", json!({})).await.error_code(), "FORBIDDEN");

    let path = format!("{KEYS}/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(world.bob.delete(&path).await.error_code(), "API_KEY_NOT_FOUND");
    assert_eq!(world.alice.delete(&path).await.status, 204);
    assert_eq!(key.get("/api/v1/auth/me").await.status, 401);
}

#[actix_web::test]
async fn a_key_cannot_expire_before_it_is_made() {
    let world = World::new().await;
    let made = world.alice.post(KEYS, json!({"name": "ci", "expires_at": "2020-01-01T00:00:00Z"})).await;
    assert_eq!((made.status, made.violations()), (422, vec!["/expires_at past".to_owned()]));
}

#[actix_web::test]
async fn registration_is_open_only_where_it_is_allowed() {
    let path = "/api/v1/auth/register";
    let request = json!({"email": "carol@example.com", "password": PASSWORD, "full_name": "Carol"});
    let world = World::new().await;
    assert_snapshot!("registered", world.anonymous.post(path, request.clone()).await.shown());
    assert_snapshot!("registered_twice", world.anonymous.post(path, request.clone()).await.shown());

    let closed = World::of(Plan { registration: Registration::Closed, ..Plan::default() }).await;
    assert_snapshot!("registration_closed", closed.anonymous.post(path, request).await.shown());
}
