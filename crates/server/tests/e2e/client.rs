//! What a user of the API does, in one line each.

use crate::world::PATIENCE;
use futures::{Stream, StreamExt};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use std::{collections::VecDeque, pin::Pin};
use tokio::time::timeout;

pub struct Client {
    http: reqwest::Client,
    pub url: String,
    pub token: Option<String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

/// One server-sent event.
#[derive(Debug, Clone)]
pub struct Seen {
    pub id: Option<u64>,
    pub event: String,
    pub data: Value,
}

impl Client {
    pub fn anonymous(url: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned(), token: None }
    }

    pub async fn login(url: &str, email: &str, password: &str) -> Self {
        let mut client = Self::anonymous(url);
        let answer = client.post("/auth/login", json!({ "email": email, "password": password })).await.ok();
        client.token = Some(answer["access_token"].as_str().unwrap().to_owned());
        client
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let prefix = if path.starts_with("/health") || path.starts_with("/docs") { "" } else { "/api/v1" };
        let request = self.http.request(method, format!("{}{prefix}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// A new session, by its path.
    pub async fn session(&self, body: Value) -> String {
        let session = self.post("/sessions", body).await;
        assert_eq!(session.status, 201, "{session:?}");
        format!("/sessions/{}", session.body["id"].as_str().unwrap())
    }

    /// Sends a prompt and waits for the answer.
    pub async fn query(&self, session: &str, message: &str) -> Answer {
        self.post(&format!("{session}/query"), json!({ "message": message })).await
    }

    /// The text of an answer that must come.
    pub async fn ask(&self, session: &str, message: &str) -> String {
        self.query(session, message).await.ok()["content"]["text"].as_str().unwrap().to_owned()
    }

    /// Sends a prompt and answers with its turn's path at once.
    pub async fn query_async(&self, session: &str, message: &str) -> String {
        let request =
            self.request(Method::POST, &format!("{session}/query")).header("Prefer", "respond-async");
        let receipt = send(request.json(&json!({ "message": message }))).await;
        assert_eq!(receipt.status, 202, "{receipt:?}");
        format!("{session}/turns/{}", receipt.body["turn_id"].as_str().unwrap())
    }

    /// Waits until the turn is over.
    pub async fn turn_over(&self, turn: &str) -> Value {
        crate::world::eventually("the turn is over", async || {
            let turn = self.get(turn).await.ok();
            (!["queued", "running"].contains(&turn["status"].as_str().unwrap())).then_some(turn)
        })
        .await
    }

    /// The session's events after a number.
    pub async fn events(&self, session: &str, after: u64) -> Events {
        let request = self.request(Method::GET, &format!("{session}/events"));
        Events::open(request.header("Last-Event-ID", after.to_string())).await
    }
}

pub async fn send(request: RequestBuilder) -> Answer {
    let response = timeout(PATIENCE * 3, request.send()).await.unwrap().unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    Answer { status, headers, body }
}

impl Answer {
    /// The body of a success.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }

    /// Checks that it is a problem with this status and code.
    pub fn problem(&self, status: u16, error_code: &str) -> &Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.body["error_code"], error_code, "{self:?}");
        assert!(self.body["trace_id"].is_string() && self.body["timestamp"].is_string(), "{self:?}");
        &self.body
    }
}

/// A stream of server-sent events.
pub struct Events {
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    buffer: Vec<u8>,
    ready: VecDeque<Seen>,
}

impl Events {
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.header("Accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { bytes: Box::pin(response.bytes_stream()), buffer: vec![], ready: VecDeque::new() }
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some(seen) = self.ready.pop_front() {
                return Some(seen);
            }
            let chunk = timeout(PATIENCE, self.bytes.next()).await.unwrap()?.unwrap();
            let searched = self.buffer.len().saturating_sub(1);
            self.buffer.extend_from_slice(&chunk);
            let mut from = searched;
            while let Some(end) = self.buffer[from..].windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..from + end + 2).collect();
                self.ready.extend(Seen::parse(std::str::from_utf8(&block).unwrap()));
                from = 0;
            }
        }
    }

    /// Everything up to and including the next event of this kind.
    pub async fn until(&mut self, event: &str) -> Vec<Seen> {
        let mut all = vec![];
        while let Some(seen) = self.next().await {
            let found = seen.event == event;
            all.push(seen);
            if found {
                return all;
            }
        }
        panic!("the stream ended without {event}; it had {all:?}");
    }
}

impl Seen {
    fn parse(block: &str) -> Option<Self> {
        let field = |name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
        };
        let data = field("data")?;
        Some(Self {
            id: field("id").map(|id| id.parse().unwrap()),
            event: field("event").unwrap(),
            data: serde_json::from_str(&data).unwrap(),
        })
    }
}
