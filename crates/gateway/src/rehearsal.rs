//! Rehearsals: for some tokens the gateway plays the model itself, which makes one tool call and then is done.
//!
//! Nothing is asked upstream and nothing is booked, so that what an agent does with a call can be tried at any time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::RehearsedCall;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    agents::{hash, new_token},
    proxy::read_body,
    refusal::{Refusal, Reply, whole},
};

/// What the model says when the call was answered, or cannot be made.
const LAST_WORDS: &str = "done";

/// The tokens of rehearsals, by their hash.
#[derive(Debug, Default)]
pub(crate) struct Rehearsals(Mutex<HashMap<[u8; 32], Arc<RehearsedCall>>>);

impl Rehearsals {
    pub(crate) fn admit(&self, call: RehearsedCall) -> String {
        let token = new_token();
        self.lock().insert(hash(&token), Arc::new(call));
        token
    }

    pub(crate) fn find(&self, token: &str) -> Option<Arc<RehearsedCall>> {
        self.lock().get(&hash(token)).cloned()
    }

    pub(crate) fn remove(&self, token: &str) {
        self.lock().remove(&hash(token));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<RehearsedCall>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers as the model would that wants this call.
pub(crate) async fn answer(call: &RehearsedCall, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let (head, body) = request.into_parts();
    if (head.method, head.uri.path()) != (Method::POST, "/v1/messages") {
        return Err(Refusal::NoSuchEndpoint);
    }
    let asked: Asked =
        serde_json::from_slice(&read_body(body).await?).map_err(|_| Refusal::BodyUnreadable)?;
    let message = message(call, &asked);
    let (kind, body) = if asked.stream {
        ("text/event-stream", events(&message))
    } else {
        ("application/json", message.to_string())
    };
    let mut reply = Response::new(whole(body.into()));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(reply)
}

/// What of a request decides the answer.
#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    model: String,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    tools: Vec<Value>,
    messages: Vec<Value>,
}

fn message(call: &RehearsedCall, asked: &Asked) -> Value {
    let is_offered = asked.tools.iter().any(|tool| tool["name"] == *call.tool_name);
    let mut blocks = asked.messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    let is_answered = blocks.any(|block| block["tool_use_id"] == *call.tool_use_id);
    let (block, stop_reason) = if is_offered && !is_answered {
        let block = json!({
            "type": "tool_use", "id": call.tool_use_id, "name": call.tool_name, "input": call.input,
        });
        (block, "tool_use")
    } else {
        (json!({ "type": "text", "text": LAST_WORDS }), "end_turn")
    };
    json!({
        "id": format!("msg_{}", call.tool_use_id), "type": "message", "role": "assistant", "model": asked.model,
        "content": [block], "stop_reason": stop_reason, "stop_sequence": null,
        "usage": { "input_tokens": 1, "output_tokens": 1 },
    })
}

/// The message as the API streams it.
fn events(message: &Value) -> String {
    let block = &message["content"][0];
    let (start, delta) = match block["type"].as_str() {
        Some("tool_use") => (
            json!({ "type": "tool_use", "id": block["id"], "name": block["name"], "input": {} }),
            json!({ "type": "input_json_delta", "partial_json": block["input"].to_string() }),
        ),
        _ => (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": block["text"] })),
    };
    let mut begun = message.clone();
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    let ended = json!({ "stop_reason": message["stop_reason"], "stop_sequence": null });
    let all = [
        json!({ "type": "message_start", "message": begun }),
        json!({ "type": "content_block_start", "index": 0, "content_block": start }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": ended, "usage": { "output_tokens": 1 } }),
        json!({ "type": "message_stop" }),
    ];
    all.iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()))
        .collect()
}
