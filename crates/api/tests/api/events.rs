//! Following a session over server-sent events.

use crate::{
    client::{Client, PATIENCE},
    contract,
    world::World,
};
use futures::{StreamExt, stream::BoxStream};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

/// One event as a client got it.
#[derive(Debug)]
pub struct Seen {
    pub id: Option<u64>,
    pub name: String,
    pub data: Value,
}

/// The reading end of an event stream.
pub struct Events {
    bytes: BoxStream<'static, Vec<u8>>,
    waiting: Vec<u8>,
    /// How much of what waits is known to hold no end of a block.
    searched: usize,
}

impl Events {
    pub async fn open(client: &Client, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = client.request(Method::GET, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Self::read(client.open(request).await)
    }

    pub fn read(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let bytes = response.bytes_stream().map(|chunk| chunk.unwrap().to_vec()).boxed();
        Self { bytes, waiting: vec![], searched: 0 }
    }

    /// The next block of lines; `None` at the end.
    async fn next_block(&mut self) -> Option<String> {
        loop {
            let unsearched = &self.waiting[self.searched..];
            if let Some(end) = unsearched.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.waiting.drain(..self.searched + end + 2).collect();
                self.searched = 0;
                return Some(String::from_utf8(block).unwrap().trim_end().to_owned());
            }
            let chunk = timeout(PATIENCE, self.bytes.next()).await.unwrap()?;
            self.searched = self.waiting.len().saturating_sub(1);
            self.waiting.extend(chunk);
        }
    }

    /// The next event; hints and comments are passed over.
    pub async fn next_event(&mut self) -> Option<Seen> {
        loop {
            let block = self.next_block().await?;
            let field = |name: &str| {
                block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
            };
            if let (Some(name), Some(data)) = (field("event"), field("data")) {
                let id = field("id").map(|id| id.parse().unwrap());
                let data = serde_json::from_str(&data).unwrap();
                assert_eq!(contract::breaches_of_event(&data), Vec::<String>::new());
                return Some(Seen { id, name, data });
            }
        }
    }

    /// Everything up to the end of the stream.
    pub async fn read_to_end(&mut self) -> Vec<Seen> {
        let mut seen = vec![];
        while let Some(event) = self.next_event().await {
            seen.push(event);
        }
        seen
    }

    /// Everything up to the next result.
    pub async fn read_to_result(&mut self) -> Vec<Seen> {
        let mut seen = vec![];
        loop {
            let event = self.next_event().await.unwrap();
            let is_result = event.name == "result";
            seen.push(event);
            if is_result {
                return seen;
            }
        }
    }
}

fn events_of(session: &str) -> String {
    format!("/api/v1/sessions/{session}/events")
}

async fn prompt(world: &World, session: &str, text: &str) {
    let answer =
        world.alice.post(&format!("/api/v1/sessions/{session}/query"), json!({"message": text})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[actix_web::test]
async fn a_stream_begins_with_a_hint_and_then_the_journal() {
    let world = World::new().await;
    let session = world.session().await;
    prompt(&world, &session, "tool").await;
    let mut events = Events::open(&world.alice, &events_of(&session), &[]).await;
    assert_eq!(events.next_block().await.unwrap(), "retry: 2000");
    let seen = events.read_to_result().await;
    let trail = world.alice.get(&format!("/api/v1/sessions/{session}/audit-trail")).await.json();
    let data: Vec<Value> = seen.iter().map(|event| event.data.clone()).collect();
    assert_eq!(Value::Array(data), trail, "the stream and the audit trail are the same journal");
    for (event, number) in seen.iter().zip(1..) {
        assert_eq!((event.id, &event.data["seq"]), (Some(number), &json!(number)));
        assert_eq!(event.data["type"], event.name);
    }
    let names: Vec<&str> = seen.iter().map(|event| event.name.as_str()).collect();
    for name in
        ["message_sent", "message", "tool_call_started", "tool_call_completed", "status_change", "result"]
    {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
}

#[actix_web::test]
async fn a_broken_stream_is_taken_up_with_neither_gap_nor_repeat() {
    let world = World::new().await;
    let session = world.session().await;
    prompt(&world, &session, "tool").await;
    prompt(&world, &session, "hello").await;
    let path = events_of(&session);
    let last = world.alice.get(&format!("/api/v1/sessions/{session}/audit-trail")).await.json();
    let last = last.as_array().unwrap().len() as u64;

    // The connection breaks after every single event.
    let mut ids = vec![];
    while ids.last() != Some(&last) {
        let after = ids.last().copied().unwrap_or(0u64).to_string();
        let mut events = Events::open(&world.alice, &path, &[("last-event-id", &after)]).await;
        ids.push(events.next_event().await.unwrap().id.unwrap());
    }
    assert_eq!(ids, (1..=last).collect::<Vec<_>>());

    let mut by_parameter = Events::open(&world.alice, &format!("{path}?after={}", last - 1), &[]).await;
    assert_eq!(by_parameter.next_event().await.unwrap().id, Some(last));
    let both = [("last-event-id", "2")];
    let mut both = Events::open(&world.alice, &format!("{path}?after={}", last - 1), &both).await;
    assert_eq!(both.next_event().await.unwrap().id, Some(3), "the header wins");
}

#[actix_web::test]
async fn a_stream_goes_from_the_journal_to_what_happens_without_a_seam() {
    let world = World::new().await;
    let session = world.session().await;
    prompt(&world, &session, "hello").await;
    let mut events = Events::open(&world.alice, &events_of(&session), &[]).await;
    let mut seen = events.read_to_result().await;
    for _ in 0..5 {
        prompt(&world, &session, "tool").await;
        seen.extend(events.read_to_result().await);
    }
    let ids: Vec<u64> = seen.iter().filter_map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
}

#[actix_web::test]
async fn a_stream_ends_when_the_server_does() {
    let world = World::new().await;
    let session = world.session().await;
    prompt(&world, &session, "hello").await;
    let mut events = Events::open(&world.alice, &events_of(&session), &[]).await;
    events.read_to_result().await;
    world.state.sessions.shut_down(std::time::Duration::ZERO).await;
    let last = events.next_event().await.unwrap();
    assert_eq!((last.name.as_str(), last.id), ("closing", None));
    assert_eq!(last.data, json!({"type": "closing", "reason": "server_ends"}));
    assert!(events.next_event().await.is_none());
}
