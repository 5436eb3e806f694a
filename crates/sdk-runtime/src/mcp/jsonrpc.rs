//! JSON-RPC as far as a server needs it: what a message is, and the shapes of answers.

use serde_json::{Value, json};

/// The message is no JSON-RPC message.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// The server does not know the method.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters make no sense.
pub(super) const INVALID_PARAMS: i64 = -32602;
/// The server broke down.
pub(super) const INTERNAL_ERROR: i64 = -32603;
/// The request was withdrawn; the agent no longer waits.
pub(super) const CANCELLED: i64 = -32800;
/// The server cannot take the request now.
pub(super) const UNAVAILABLE: i64 = -32000;

/// The protocol version of the CLI's own client.
pub(super) const PROTOCOL_VERSION: &str = "2025-11-25";

/// A request to a server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    /// A number or a text.
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Value,
}

/// What came from the agent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Incoming {
    Request(Request),
    /// The whole message.
    Notification(Value),
    /// The whole message: an answer to a request of the server.
    Response(Value),
    /// Not JSON-RPC; the whole answer to it.
    Invalid(Value),
}

/// Sorts a message.
pub(super) fn read(mut message: Value) -> Incoming {
    if !message.is_object() {
        return Incoming::Invalid(error(&Value::Null, INVALID_REQUEST, "a message is an object"));
    }
    let id = message["id"].take();
    match (message["method"].take(), id) {
        (Value::String(method), Value::Null) => {
            message["method"] = method.into();
            strip_id(&mut message);
            Incoming::Notification(message)
        }
        (Value::String(method), id @ (Value::Number(_) | Value::String(_))) => {
            Incoming::Request(Request { id, method, params: message["params"].take() })
        }
        (Value::String(_), _) => {
            Incoming::Invalid(error(&Value::Null, INVALID_REQUEST, "an id is a number or a text"))
        }
        (Value::Null, id @ (Value::Number(_) | Value::String(_)))
            if message.get("result").is_some() || message.get("error").is_some() =>
        {
            message["id"] = id;
            strip_method(&mut message);
            Incoming::Response(message)
        }
        (Value::Null, id) => Incoming::Invalid(error(&sane(id), INVALID_REQUEST, "no method is named")),
        (_, id) => Incoming::Invalid(error(&sane(id), INVALID_REQUEST, "a method is a text")),
    }
}

fn strip_id(message: &mut Value) {
    if let Some(fields) = message.as_object_mut() {
        fields.remove("id");
    }
}

fn strip_method(message: &mut Value) {
    if let Some(fields) = message.as_object_mut() {
        fields.remove("method");
    }
}

/// The id, if it is one.
fn sane(id: Value) -> Value {
    if id.is_number() || id.is_string() { id } else { Value::Null }
}

pub(super) fn result(id: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

pub(super) fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

pub(super) fn notification(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// What the agent gets for a message that has no answer.
pub(super) fn acknowledgement() -> Value {
    json!({ "jsonrpc": "2.0", "result": {} })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_sorted_and_garbage_is_answered() {
        let request = json!({ "jsonrpc": "2.0", "id": 4, "method": "ping" });
        assert!(matches!(read(request), Incoming::Request(Request { id, .. }) if id == 4));
        let notification = json!({ "jsonrpc": "2.0", "method": "notifications/initialized", "id": null });
        assert!(matches!(read(notification), Incoming::Notification(raw) if raw.get("id").is_none()));
        let response = json!({ "jsonrpc": "2.0", "id": "x", "result": {} });
        assert_eq!(read(response.clone()), Incoming::Response(response));
        for (garbage, id) in [
            (json!(null), json!(null)),
            (json!([1, 2]), json!(null)),
            (json!("text"), json!(null)),
            (json!({}), json!(null)),
            (json!({ "id": 7 }), json!(7)),
            (json!({ "id": 7, "method": 3 }), json!(7)),
            (json!({ "id": {}, "method": "ping" }), json!(null)),
            (json!({ "id": [], "method": null }), json!(null)),
        ] {
            let Incoming::Invalid(answer) = read(garbage.clone()) else {
                panic!("{garbage} was taken");
            };
            assert_eq!(
                (&answer["id"], &answer["error"]["code"]),
                (&id, &json!(INVALID_REQUEST)),
                "{garbage}"
            );
        }
    }
}
