//! Takes one request to its answer.

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Options,
    answer::{self, Answer, Chosen, tokens_of},
    charges::Charges,
    conversation::{MessagesRequest, Prompt},
    reply::{self, Reply},
    request_log::{Recorded, RequestLog},
    step::{Block, Fault},
    stream,
};

/// Most bytes of a request body; more is answered with 413.
pub const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// Steps whose failed calls are counted; beyond it the counts start again.
const MAX_COUNTED_STEPS: usize = 100_000;
const MODELS: [&str; 4] = ["claude-fable-5-2", "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"];

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Routes {
    options: Options,
    pub(crate) log: RequestLog,
    pub(crate) charges: Charges,
    calls: Mutex<HashMap<u64, u64>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Routes {
    pub(crate) fn new(options: Options, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let (log, charges) = (RequestLog::new(&options), Charges::new(&options));
        Self { log, charges, options, calls: Mutex::default(), tasks, stop }
    }

    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, Infallible> {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Ok(reply::error(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large"));
            }
            Err(error) => return Ok(reply::error(StatusCode::BAD_REQUEST, &error.to_string())),
        };
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        if let Some(rest) = path.strip_prefix("/_offline/") {
            return Ok(self.control(&method, rest));
        }
        self.log.record(Recorded::new(&head, body.clone()));
        Ok(match (&method, path.as_str()) {
            (&Method::POST, "/v1/messages") => self.messages(body).await,
            (&Method::POST, "/v1/messages/count_tokens") => {
                reply::json(StatusCode::OK, &json!({"input_tokens": tokens_of(body.len())}))
            }
            (&Method::GET, "/v1/models") => reply::json(StatusCode::OK, &catalogue()),
            (&Method::GET | &Method::HEAD, "/" | "/api/hello") => {
                reply::json(StatusCode::OK, &json!({"ok": true}))
            }
            (&Method::GET, path) => match path.strip_prefix("/v1/models/") {
                Some(id) if MODELS.contains(&id) => reply::json(StatusCode::OK, &model(id)),
                _ => not_found(),
            },
            _ => not_found(),
        })
    }

    /// The endpoints for tests that run in another process.
    fn control(&self, method: &Method, path: &str) -> Reply {
        match (method, path) {
            (&Method::GET, "requests") => reply::json(StatusCode::OK, &self.log.to_json()),
            (&Method::GET, "charged") => reply::json(StatusCode::OK, &self.charges.to_json()),
            (&Method::POST, "reset") => {
                self.log.clear();
                self.charges.clear();
                self.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
                reply::json(StatusCode::OK, &json!({"ok": true}))
            }
            _ => not_found(),
        }
    }

    async fn messages(self: Arc<Self>, body: Bytes) -> Reply {
        let request: MessagesRequest = match serde_json::from_slice(&body) {
            Ok(request) => request,
            Err(error) => return reply::error(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let chosen = match answer::choose(&request, &self.options) {
            Ok(chosen) => chosen,
            Err(error) => {
                return reply::error(StatusCode::BAD_REQUEST, &format!("failed to {error}"));
            }
        };
        let delay = self.options.delay + Duration::from_millis(chosen.step.delay_ms);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if chosen.step.hang {
            // Dropped with its connection, which ends when the client leaves or the server stops.
            std::future::pending::<()>().await;
        }
        let mut reply = match &chosen.step.fault {
            Some(fault) if self.still_fails(fault, &chosen.prompt) => failure(fault),
            _ => self.message(&request, &chosen, body.len()),
        };
        for (name, value) in &chosen.step.headers {
            reply.headers_mut().append(name, value.clone());
        }
        reply
    }

    fn message(self: &Arc<Self>, request: &MessagesRequest, chosen: &Chosen, body_len: usize) -> Reply {
        let answer = Answer::compose(chosen, request, &self.options, body_len);
        let charge = self.charges.add(answer.charge());
        if request.stream {
            let (out, feed) = mpsc::channel(stream::QUEUED_FLUSHES);
            let (routes, step) = (self.clone(), chosen.step.clone());
            let sending = async move {
                if stream::send(answer, step, &routes.options, out).await {
                    routes.charges.complete(charge);
                }
            };
            self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(sending));
            return reply::events(feed);
        }
        if chosen.step.blocks.iter().any(|block| matches!(block, Block::Endless | Block::Clock(_))) {
            return reply::error(
                StatusCode::BAD_REQUEST,
                "an answer that goes by the clock or never ends can only be streamed",
            );
        }
        self.charges.complete(charge);
        reply::json(StatusCode::OK, &answer.to_json())
    }

    /// Counts a call of a step that is to fail, and says whether this one does.
    fn still_fails(&self, fault: &Fault, prompt: &Prompt) -> bool {
        let Some(times) = fault.times else { return true };
        let mut hasher = DefaultHasher::new();
        (prompt.answers, &prompt.text).hash(&mut hasher);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= MAX_COUNTED_STEPS {
            calls.clear();
        }
        let count = calls.entry(hasher.finish()).or_default();
        *count += 1;
        *count <= times
    }
}

fn failure(fault: &Fault) -> Reply {
    let message = format!("the offline model was asked to fail with {}", fault.status.as_u16());
    let mut reply = reply::error(fault.status, &message);
    if let Some(seconds) = &fault.retry_after
        && let Ok(seconds) = HeaderValue::try_from(seconds)
    {
        reply.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    reply
}

fn not_found() -> Reply {
    reply::error(StatusCode::NOT_FOUND, "the offline model has no such endpoint")
}

fn catalogue() -> Value {
    let data: Vec<Value> = MODELS.iter().map(|id| model(id)).collect();
    json!({"data": data, "has_more": false, "first_id": MODELS.first(), "last_id": MODELS.last()})
}

fn model(id: &str) -> Value {
    json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z"})
}
