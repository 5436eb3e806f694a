//! Open streams and the credentials that opened them: what ends the one ends the other, at once and nothing else.

use crate::{
    client::Client,
    events::Events,
    stream::Socket,
    world::{PASSWORD, Plan, World},
};
use api::ApiSettings;
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const KEYS: &str = "/api/v1/auth/api-keys";

/// The streams of this world hardly ever look at their credentials by themselves: what ends them was told.
async fn world() -> World {
    let settings = ApiSettings { stream_check_interval: Duration::from_secs(3600), ..ApiSettings::default() };
    World::of(Plan { settings, ..Plan::default() }).await
}

/// Both kinds of streams, of somebody who watches a session.
struct Streams {
    events: Events,
    socket: Socket,
}

impl Streams {
    async fn open(world: &World, client: &Client, session: &str) -> Self {
        let mut socket = Socket::open(world, client, session, "").await;
        assert_eq!(socket.hear().await["type"], "connected");
        Self { events: events(client, session).await, socket }
    }

    /// Both end, and say why.
    async fn end(mut self) {
        assert_eq!(self.socket.closed().await, CloseCode::Policy);
        let last = self.events.read_to_end().await.pop().unwrap();
        assert_eq!((last.name.as_str(), &last.data["reason"]), ("closing", &json!("credential_ended")));
    }
}

async fn events(client: &Client, session: &str) -> Events {
    Events::open(client, &format!("/api/v1/sessions/{session}/events"), &[]).await
}

/// The stream shows what happens when somebody asks something.
async fn goes_on(events: &mut Events, asks: &Client, session: &str) {
    let asked = asks.post(&format!("/api/v1/sessions/{session}/query"), json!({"message": "hello"})).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    events.read_to_result().await;
}

#[actix_web::test]
async fn the_end_of_a_key_ends_its_streams_and_no_others() {
    let world = world().await;
    let session = world.session().await;
    let mut others = events(&world.alice, &session).await;
    let made = world.alice.post(KEYS, json!({"name": "watcher", "scopes": ["sessions:read"]})).await.json();
    let key = world.anonymous.with_token(made["key"].as_str().unwrap());
    let streams = Streams::open(&world, &key, &session).await;
    let path = format!("{KEYS}/{}", made["id"].as_str().unwrap());
    assert_eq!(world.alice.delete(&path).await.status, 204);
    streams.end().await;
    goes_on(&mut others, &world.alice, &session).await;
}

#[actix_web::test]
async fn a_logout_ends_the_streams_of_its_login_and_no_others() {
    let world = world().await;
    let session = world.session().await;
    let mut others = events(&world.alice, &session).await;
    let login = world.anonymous.logged_in("alice@example.com").await;
    let streams = Streams::open(&world, &login, &session).await;
    assert_eq!(login.post("/api/v1/auth/logout", json!({})).await.status, 204);
    streams.end().await;
    goes_on(&mut others, &world.alice, &session).await;
}

#[actix_web::test]
async fn a_logout_from_everything_ends_the_streams_of_every_login() {
    let world = world().await;
    let session = world.session().await;
    let login = world.anonymous.logged_in("alice@example.com").await;
    let (here, there) =
        (Streams::open(&world, &world.alice, &session).await, Streams::open(&world, &login, &session).await);
    assert_eq!(login.post("/api/v1/auth/logout-all", json!({})).await.status, 204);
    here.end().await;
    there.end().await;
}

#[actix_web::test]
async fn a_refresh_token_that_is_shown_twice_ends_the_streams_of_its_login() {
    let world = world().await;
    let session = world.session().await;
    let ada = json!({"email": "alice@example.com", "password": PASSWORD});
    let tokens = world.anonymous.post("/api/v1/auth/login", ada).await.json();
    let first = json!({"refresh_token": tokens["refresh_token"]});
    let refreshed = world.anonymous.post("/api/v1/auth/refresh", first.clone()).await.json();
    let thief = world.anonymous.with_token(refreshed["access_token"].as_str().unwrap());
    let streams = Streams::open(&world, &thief, &session).await;
    assert_eq!(world.anonymous.post("/api/v1/auth/refresh", first).await.status, 401);
    streams.end().await;
}

#[actix_web::test]
async fn an_account_that_is_removed_watches_nothing_any_more() {
    let world = world().await;
    let session = world.session().await;
    let ada = json!({"email": "ada@example.com", "password": PASSWORD, "role": "admin"});
    let made = world.admin.post("/api/v1/admin/users", ada).await.json();
    let ada = world.anonymous.logged_in("ada@example.com").await;
    let streams = Streams::open(&world, &ada, &session).await;
    let path = format!("/api/v1/admin/users/{}", made["id"].as_str().unwrap());
    assert_eq!(world.admin.delete(&path).await.status, 204);
    streams.end().await;
}

#[actix_web::test]
async fn who_may_see_less_than_before_is_shown_no_more() {
    let world = world().await;
    let session = world.session().await;
    let ada = json!({"email": "ada@example.com", "password": PASSWORD, "role": "admin"});
    let made = world.admin.post("/api/v1/admin/users", ada).await.json();
    let ada = world.anonymous.logged_in("ada@example.com").await;
    let streams = Streams::open(&world, &ada, &session).await;
    let path = format!("/api/v1/admin/users/{}", made["id"].as_str().unwrap());
    assert_eq!(world.admin.patch(&path, json!({"role": "member"})).await.status, 200);
    streams.end().await;
    assert_eq!(ada.get(&format!("/api/v1/sessions/{session}")).await.status, 404);

    // Who may still read what they read goes on.
    let mut own = events(&world.alice, &session).await;
    let alice = format!("/api/v1/admin/users/{}", world.id(&world.alice).await);
    assert_eq!(world.admin.patch(&alice, json!({"role": "viewer"})).await.status, 200);
    goes_on(&mut own, &world.admin, &session).await;
}
