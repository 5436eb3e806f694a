//! Watching a session: the journal has no gaps, and coming back repeats nothing.

use crate::{
    client::Seen,
    world::{PATIENCE, World},
};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

fn numbers(seen: &[Seen]) -> Vec<u64> {
    seen.iter().filter_map(|seen| seen.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_comes_back_sees_neither_gap_nor_repeat() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"], "include_partial_messages": true })).await;
    let mut first = user.events(&session, 0).await;
    let prompt = r#"[[tool:Bash {"command":"echo one"}]][[next]][[words:300]][[chunk_delay:5]]"#;
    let turn = user.query_async(&session, prompt).await;
    let before = numbers(&first.until("tool_call_started").await);
    drop(first);

    let mut second = user.events(&session, *before.last().unwrap()).await;
    let mut after = numbers(&second.until("result").await);
    user.turn_over(&turn).await;
    let mut all = before;
    all.append(&mut after);
    let expected: Vec<u64> = (1..=all.len() as u64).collect();
    assert_eq!(all, expected);

    let mut whole = user.events(&session, 0).await;
    assert_eq!(numbers(&whole.until("result").await), expected, "the journal is the same for who comes late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_prompts_and_watches() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "include_partial_messages": true })).await;
    let token = user.token.as_ref().unwrap();
    let url = format!("{}/api/v1{session}/stream?token={token}", user.url.replace("http", "ws"));
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let say = |value: Value| Message::text(value.to_string());
    socket.send(say(json!({ "type": "ping", "request_id": "p" }))).await.unwrap();
    socket.send(say(json!({ "type": "query", "message": "[[text:through the socket]]" }))).await.unwrap();
    socket.send(say(json!({ "type": "nonsense" }))).await.unwrap();
    let mut heard: Vec<Value> = vec![];
    while heard.last().is_none_or(|last| last["type"] != "result") {
        let message = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        if let Message::Text(text) = message {
            heard.push(serde_json::from_str(&text).unwrap());
        }
    }
    let kinds: Vec<&str> = heard.iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[0], "connected");
    for kind in ["pong", "error", "message_sent", "message", "partial_message", "status_change", "result"] {
        assert!(kinds.contains(&kind), "{kind} is missing in {kinds:?}");
    }
    let numbers: Vec<u64> = heard.iter().skip(1).filter_map(|one| one["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(heard.last().unwrap()["text"], "through the socket");
    assert!(!world.log().contains(token.as_str()), "the token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_is_dropped_and_holds_nobody_up() {
    let world = World::with(&[("STREAM_SEND_TIMEOUT_SECONDS", "2")]).await;
    let user = world.admin().await;
    let session = user.session(json!({ "include_partial_messages": true })).await;

    // A plain socket that asks for the events and never reads them.
    let address = user.url.strip_prefix("http://").unwrap().to_owned();
    let mut stalled = tokio::net::TcpStream::connect(&address).await.unwrap();
    let token = user.token.as_ref().unwrap();
    let request = format!("GET /api/v1{session}/events?token={token} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stalled, request.as_bytes()).await.unwrap();
    let port = stalled.local_addr().unwrap().port();
    crate::world::eventually("the connection stands", async || is_open(port).then_some(())).await;

    let answer = user.query(&session, "[[big:12000000]]").await.ok();
    assert_eq!(answer["content"]["text"].as_str().unwrap().len(), 12_000_000);
    crate::world::eventually("the stalled connection is dropped", async || (!is_open(port)).then_some(()))
        .await;
}

/// Whether the server's side of the connection from this port is still there.
fn is_open(client_port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!("0100007F:{client_port:04X}");
    let established = "01";
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2] == remote && fields[3] == established
    })
}
