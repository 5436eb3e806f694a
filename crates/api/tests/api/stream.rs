//! Talking with a session over a WebSocket.

use crate::{
    client::{Client, PATIENCE},
    events::Events,
    world::{Plan, World},
};
use api::ApiSettings;
use futures::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        protocol::{WebSocketConfig, frame::coding::CloseCode},
    },
};

/// One client's end of a WebSocket.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn open(world: &World, client: &Client, session: &str, query: &str) -> Self {
        let url = format!("ws://{}/api/v1/sessions/{session}/stream{query}", world.address);
        let mut request = url.into_client_request().unwrap();
        if let Some(token) = &client.token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let config =
            WebSocketConfig::default().max_message_size(Some(64 << 20)).max_frame_size(Some(64 << 20));
        Self(connect_async_with_config(request, Some(config), false).await.unwrap().0)
    }

    pub async fn say(&mut self, command: Value) {
        self.0.send(Message::text(command.to_string())).await.unwrap();
    }

    /// The next text; pings are answered by the library when it is asked for more.
    pub async fn hear(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("not a text: {other:?}"),
            }
        }
    }

    /// Everything up to and with the next message of this type.
    pub async fn hear_until(&mut self, wanted: &str) -> Vec<Value> {
        let mut heard = vec![];
        loop {
            let message = self.hear().await;
            let is_wanted = message["type"] == wanted;
            heard.push(message);
            if is_wanted {
                return heard;
            }
        }
    }

    /// The code the server closes with.
    pub async fn closed(&mut self) -> CloseCode {
        loop {
            match timeout(PATIENCE, self.0.next()).await.unwrap() {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code,
                Some(Ok(_)) => {}
                other => panic!("not closed properly: {other:?}"),
            }
        }
    }
}

#[actix_web::test]
async fn a_conversation_goes_both_ways() {
    let world = World::new().await;
    let session = world.session_with(json!({"include_partial_messages": true})).await;
    let mut socket = Socket::open(&world, &world.alice, &session, "").await;
    assert_eq!(socket.hear().await, json!({"type": "connected", "session_id": session, "seq": 0}));

    socket.say(json!({"type": "ping", "request_id": "p1"})).await;
    assert_eq!(socket.hear().await, json!({"type": "pong", "request_id": "p1"}));

    socket.say(json!({"type": "query", "message": "hello"})).await;
    let heard = socket.hear_until("result").await;
    let types: Vec<&str> = heard.iter().map(|message| message["type"].as_str().unwrap()).collect();
    for wanted in ["message_sent", "partial_message", "message", "status_change", "result"] {
        assert!(types.contains(&wanted), "{wanted} is not among {types:?}");
    }
    let numbers: Vec<u64> = heard.iter().filter_map(|message| message["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(heard.last().unwrap()["text"], "hello there");
}

#[actix_web::test]
async fn a_broken_connection_is_taken_up_where_it_was() {
    let world = World::new().await;
    let session = world.session().await;
    let mut socket = Socket::open(&world, &world.alice, &session, "").await;
    socket.say(json!({"type": "query", "message": "tool"})).await;
    let first = socket.hear_until("tool_call_started").await;
    let after = first.last().unwrap()["seq"].as_u64().unwrap();
    drop(socket);
    let mut socket = Socket::open(&world, &world.alice, &session, &format!("?after={after}")).await;
    assert_eq!(socket.hear().await["seq"], after);
    let rest = socket.hear_until("result").await;
    assert_eq!(rest[0]["seq"], after + 1);
}

#[actix_web::test]
async fn a_running_turn_is_interrupted_over_the_socket() {
    let world = World::new().await;
    let session = world.session().await;
    let mut socket = Socket::open(&world, &world.alice, &session, "").await;
    socket.say(json!({"type": "query", "message": "hang"})).await;
    socket.hear_until("message_sent").await;

    socket.say(json!({"type": "query", "message": "hello", "request_id": "q2"})).await;
    let refused = socket.hear_until("error").await.pop().unwrap();
    assert_eq!((&refused["request_id"], &refused["error_code"]), (&json!("q2"), &json!("SESSION_BUSY")));

    socket.say(json!({"type": "interrupt"})).await;
    let result = socket.hear_until("result").await.pop().unwrap();
    assert_eq!(result["status"], "interrupted");
}

#[actix_web::test]
async fn bad_commands_are_refused_and_the_connection_stays() {
    let world = World::new().await;
    let session = world.session().await;
    let mut socket = Socket::open(&world, &world.alice, &session, "").await;
    socket.hear().await;
    let table = [
        (json!({"type": "query", "request_id": "r"}), "VALIDATION_FAILED", "/message"),
        (json!({"type": "query", "request_id": "r", "message": ""}), "VALIDATION_FAILED", "/message"),
        (json!({"type": "dance", "request_id": "r"}), "VALIDATION_FAILED", "/type"),
        (json!({"type": "ping", "request_id": "r", "x": 1}), "VALIDATION_FAILED", "/x"),
        (
            json!({"type": "approval", "request_id": "r", "approval_id": uuid::Uuid::nil(), "decision": "allow"}),
            "APPROVAL_NOT_FOUND",
            "",
        ),
    ];
    for (command, code, pointer) in table {
        socket.say(command.clone()).await;
        let refused = socket.hear().await;
        assert_eq!(
            (&refused["type"], &refused["error_code"]),
            (&json!("error"), &json!(code)),
            "{command}: {refused}"
        );
        assert_eq!(refused["request_id"], "r", "{command}: {refused}");
        assert_eq!(
            refused["errors"][0]["pointer"].as_str().unwrap_or_default(),
            pointer,
            "{command}: {refused}"
        );
    }
    socket.0.send(Message::text("{")).await.unwrap();
    assert_eq!(socket.hear().await["error_code"], "INVALID_JSON");
    socket.say(json!({"type": "ping"})).await;
    assert_eq!(socket.hear().await, json!({"type": "pong"}));
}

#[actix_web::test]
async fn a_key_that_reads_may_watch_and_not_speak() {
    let world = World::new().await;
    let session = world.session().await;
    let made =
        world.alice.post("/api/v1/auth/api-keys", json!({"name": "reader", "scopes": ["read"]})).await.json();
    let query = format!("?token={}", made["key"].as_str().unwrap());
    let mut socket = Socket::open(&world, &world.anonymous, &session, &query).await;
    socket.hear().await;
    for command in [json!({"type": "query", "message": "hello"}), json!({"type": "interrupt"})] {
        socket.say(command).await;
        assert_eq!(socket.hear().await["error_code"], "READ_ONLY");
    }
    assert!(world.launcher.agents().is_empty());
}

#[actix_web::test]
async fn each_end_has_its_code() {
    let settings = ApiSettings { body_bytes_max: 1000, ..ApiSettings::default() };
    let world = World::of(Plan { settings, ..Plan::default() }).await;
    let session = world.session().await;
    let mut large = Socket::open(&world, &world.alice, &session, "").await;
    large.say(json!({"type": "query", "message": "x".repeat(1001)})).await;
    assert_eq!(large.closed().await, CloseCode::Size);

    let mut binary = Socket::open(&world, &world.alice, &session, "").await;
    binary.0.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(binary.closed().await, CloseCode::Unsupported);

    let mut polite = Socket::open(&world, &world.alice, &session, "").await;
    polite.0.send(Message::Close(None)).await.unwrap();

    let mut left = Socket::open(&world, &world.alice, &session, "").await;
    left.hear().await;
    world.state.sessions.shut_down(Duration::ZERO).await;
    assert_eq!(left.closed().await, CloseCode::Away);
    world.state.streams.close();
    timeout(PATIENCE, world.state.streams.wait()).await.unwrap();
}

#[actix_web::test]
async fn a_client_that_stops_reading_is_dropped_and_holds_up_nobody() {
    let settings = ApiSettings { stream_send_timeout: Duration::from_millis(200), ..ApiSettings::default() };
    let world = World::of(Plan { settings, ..Plan::default() }).await;
    let session = world.session().await;
    let stalled = Socket::open(&world, &world.alice, &session, "").await;
    // Far more than the socket and its buffers hold.
    let path = format!("/api/v1/sessions/{session}/query");
    let answer = world.alice.post(&path, json!({"message": "answer 10000000"})).await;
    assert_eq!(answer.status, 200);
    world.state.streams.close();
    timeout(PATIENCE, world.state.streams.wait()).await.unwrap();
    drop(stalled);
}

/// A world whose streams check their credentials all the time.
async fn watchful() -> World {
    let settings = ApiSettings { stream_check_interval: Duration::from_millis(50), ..ApiSettings::default() };
    World::of(Plan { settings, ..Plan::default() }).await
}

async fn log_out(world: &World) {
    assert_eq!(world.alice.post("/api/v1/auth/logout", json!({})).await.status, 204);
}

#[actix_web::test]
async fn a_command_after_the_logout_ends_the_conversation() {
    let world = World::new().await;
    let session = world.session().await;
    for command in [json!({"type": "query", "message": "hello"}), json!({"type": "interrupt"})] {
        let alice = world.anonymous.logged_in("alice@example.com").await;
        let mut socket = Socket::open(&world, &alice, &session, "").await;
        socket.hear().await;
        assert_eq!(alice.post("/api/v1/auth/logout", json!({})).await.status, 204);
        socket.say(command).await;
        assert_eq!(socket.closed().await, CloseCode::Policy);
    }
    assert!(world.launcher.agents().iter().all(|agent| agent.prompts().is_empty()));
}

#[actix_web::test]
async fn an_agent_is_started_for_who_may_speak_and_not_for_who_watches() {
    let world = World::new().await;
    let (watched, spoken) = (world.session().await, world.session().await);
    let made =
        world.alice.post("/api/v1/auth/api-keys", json!({"name": "reader", "scopes": ["read"]})).await.json();
    let query = format!("?token={}", made["key"].as_str().unwrap());
    let mut watching = Socket::open(&world, &world.anonymous, &watched, &query).await;
    watching.hear().await;
    let mut speaking = Socket::open(&world, &world.alice, &spoken, "").await;
    speaking.hear().await;
    world.launcher.launched(1).await;
    speaking.say(json!({"type": "query", "message": "hello"})).await;
    speaking.hear_until("result").await;
    let agents = world.launcher.agents();
    assert_eq!(agents.iter().map(|agent| agent.prompts().len()).collect::<Vec<_>>(), [1]);
}

#[actix_web::test]
async fn a_silent_conversation_ends_after_the_logout() {
    let world = watchful().await;
    let session = world.session().await;
    let mut socket = Socket::open(&world, &world.alice, &session, "").await;
    socket.hear().await;
    log_out(&world).await;
    assert_eq!(socket.closed().await, CloseCode::Policy);
}

#[actix_web::test]
async fn a_conversation_ends_when_its_key_is_deleted() {
    let world = watchful().await;
    let session = world.session().await;
    let made = world.alice.post("/api/v1/auth/api-keys", json!({"name": "watcher"})).await.json();
    let query = format!("?token={}", made["key"].as_str().unwrap());
    let mut socket = Socket::open(&world, &world.anonymous, &session, &query).await;
    socket.hear().await;
    let path = format!("/api/v1/auth/api-keys/{}", made["id"].as_str().unwrap());
    assert_eq!(world.alice.delete(&path).await.status, 204);
    assert_eq!(socket.closed().await, CloseCode::Policy);
}

#[actix_web::test]
async fn event_streams_end_after_the_logout() {
    let world = watchful().await;
    let session = world.session().await;
    let path = format!("/api/v1/sessions/{session}");
    let mut events = Events::open(&world.alice, &format!("{path}/events"), &[]).await;
    let prompt =
        world.alice.request(Method::POST, &format!("{path}/query")).json(&json!({"message": "hang"}));
    let mut turn = Events::read(world.alice.open(prompt.header("accept", "text/event-stream")).await);
    log_out(&world).await;
    events.read_to_end().await;
    turn.read_to_end().await;
}
