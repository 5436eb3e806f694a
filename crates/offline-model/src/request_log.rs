//! Remembers what was asked, so that a test can look at it from the side of the API.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use serde_json::{Value, json};

use crate::Options;

const API_KEY: &str = "x-api-key";
const MASK: &str = "***";

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// HTTP method, in capitals.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query without the question mark.
    pub query: Option<String>,
    /// Header names (lower case) and values, in the order received; keys and tokens are masked.
    pub headers: Vec<(String, String)>,
    /// The key of `x-api-key`, else the token of `Authorization: Bearer`, unmasked.
    pub credential: Option<String>,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl Recorded {
    pub(crate) fn new(head: &Parts, body: Bytes) -> Self {
        Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            headers: masked(&head.headers),
            credential: credential(&head.headers),
            body,
        }
    }

    /// Value of the first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, or `None` when it is none.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    fn to_json(&self) -> Value {
        json!({
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": self.json().unwrap_or_else(|| json!(String::from_utf8_lossy(&self.body))),
        })
    }
}

/// The last requests, bounded by number and by bytes.
#[derive(Debug)]
pub(crate) struct RequestLog {
    kept: Mutex<Kept>,
    max_requests: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Kept {
    requests: VecDeque<Recorded>,
    bytes: usize,
}

impl RequestLog {
    pub(crate) fn new(options: &Options) -> Self {
        Self { kept: Mutex::default(), max_requests: options.kept_requests, max_bytes: options.kept_bytes }
    }

    pub(crate) fn record(&self, request: Recorded) {
        let mut kept = self.lock();
        kept.bytes += request.body.len();
        kept.requests.push_back(request);
        while kept.requests.len() > self.max_requests || kept.bytes > self.max_bytes {
            let Some(oldest) = kept.requests.pop_front() else { break };
            kept.bytes -= oldest.body.len();
        }
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.lock().requests.iter().cloned().collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        self.all().iter().map(Recorded::to_json).collect()
    }

    pub(crate) fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing between lock and unlock can leave the log half changed, so a panic elsewhere does not spoil it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn masked(headers: &HeaderMap) -> Vec<(String, String)> {
    let show = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        let secret = *name == header::AUTHORIZATION || name == API_KEY;
        let value = if secret { MASK.into() } else { String::from_utf8_lossy(value.as_bytes()) };
        (name.to_string(), value.into_owned())
    };
    headers.iter().map(show).collect()
}

fn credential(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text(API_KEY).or_else(|| text("authorization")?.strip_prefix("Bearer ")).map(str::to_owned)
}
