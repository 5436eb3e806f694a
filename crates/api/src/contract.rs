//! What holds for operations by what they are, and not by what their handlers say: scopes, keys, rate limits. It is
//! written into the document once it is built.

use crate::{access, caller, idempotency::IdempotencyKey, prefer::Minimal};
use actix_web::http::Method;
use apidoc::{BadRequest, Failure, RequestHeader, TooLarge, TooSlow, UnsupportedMedia};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, sync::OnceLock};

/// The failures that are written in here; each has one example for all operations.
const FAILURES: [u16; 8] = [400, 403, 408, 409, 413, 415, 422, 429];

/// A preference or a condition for reading that nobody understands, or that is too long to look at, is none.
const IGNORED_IF_LONG: [&str; 2] = ["Prefer", "If-None-Match"];
/// Their tags name what can be edited, and not all that is told.
const ALWAYS_SENT: &str = "/api/v1/monitoring/costs/budget/";
/// Fields of every answer that is counted.
const RATE_LIMIT_HEADERS: [(&str, &str); 5] = [
    ("RateLimit-Policy", "How many requests in how many seconds (draft-ietf-httpapi-ratelimit-headers)."),
    ("RateLimit", "What is left of it, and in how many seconds all of it is there again."),
    ("RateLimit-Limit", "Requests in the window of which least is left."),
    ("RateLimit-Remaining", "Requests that are left in it."),
    ("RateLimit-Reset", "Seconds until all of them are there again."),
];

/// What `Prefer` is looked at for here, and how much of it.
const MINIMAL: &str = "return=minimal";
const PREFER_LENGTH_MAX: u32 = 1024;

/// An operation that creates something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creation {
    /// Whether strangers may do it.
    pub is_for_everybody: bool,
}

/// What POST at an address, as the routes word it, creates; `None` if it creates nothing.
pub fn creation(route: &str) -> Option<Creation> {
    static CREATIONS: OnceLock<HashMap<String, Creation>> = OnceLock::new();
    let creations = CREATIONS.get_or_init(|| {
        let paths = crate::document()["paths"].as_object().into_iter().flatten();
        let posts = paths.filter_map(|(path, item)| Some((path.clone(), item.get("post")?)));
        let creating = posts.filter(|(_, operation)| creates(operation));
        creating
            .map(|(path, operation)| (path, Creation { is_for_everybody: !is_secured(operation) }))
            .collect()
    });
    creations.get(route).copied()
}

/// Completes the document.
pub fn complete(mut document: Value) -> Value {
    let Some(paths) = document["paths"].as_object_mut() else { return document };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let Ok(method) = method.to_ascii_uppercase().parse::<Method>() else { continue };
            complete_operation(path, &method, operation);
        }
    }
    let examples = &mut document["components"]["examples"];
    for status in FAILURES {
        let name = example_name(status);
        if examples.get(&name).is_none() {
            examples[name] = json!({ "value": apidoc::failure_example(&status.to_string()) });
        }
    }
    document
}

fn example_name(status: u16) -> String {
    format!("Problem{status}")
}

fn complete_operation(path: &str, method: &Method, operation: &mut Value) {
    if let Some(need) = access::need(method, path).filter(|_| is_secured(operation)) {
        name_scopes(operation, &need.access().scopes());
        failure(
            operation,
            403,
            "The caller may not do this: their role, or the scopes of their key, do not reach it.",
        );
    }
    if *method == Method::POST && creates(operation) {
        key(operation);
    }
    match Minimal::of(method, path) {
        Some(Minimal::Edited) if operation["responses"].get("200").is_some() => minimal_edit(operation),
        Some(Minimal::Created) => minimal_creation(operation),
        Some(Minimal::Edited) | None => {}
    }
    if *method == Method::GET && answers_with(operation, "ETag") && !path.starts_with(ALWAYS_SENT) {
        conditional(operation);
    }
    if path.starts_with("/api/v1/") && !crate::health::is_about(path) {
        counted(operation);
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if IGNORED_IF_LONG.iter().any(|name| parameter["name"] == *name)
            && let Some(schema) = parameter["schema"].as_object_mut()
        {
            schema.remove("maxLength");
        }
    }
}

fn creates(operation: &Value) -> bool {
    ["201", "202"].iter().any(|status| operation["responses"].get(status).is_some())
}

fn is_secured(operation: &Value) -> bool {
    operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty())
}

fn answers_with(operation: &Value, header: &str) -> bool {
    operation["responses"]["200"]["headers"].get(header).is_some()
}

/// OpenAPI lets every scheme name what it must reach.
fn name_scopes(operation: &mut Value, scopes: &[String]) {
    for scheme in operation["security"].as_array_mut().into_iter().flatten() {
        for name in [caller::BEARER, caller::TOKEN] {
            if let Some(listed) = scheme.get_mut(name) {
                *listed = json!(scopes);
            }
        }
    }
}

fn key(operation: &mut Value) {
    let example = "8e03978e-40d5-43dd-bc93-6894a57f9324";
    parameter(operation, IdempotencyKey::NAME, IdempotencyKey::ABOUT, IdempotencyKey::LENGTH_MAX, example);
    failure(
        operation,
        409,
        "A request with this `Idempotency-Key` is being carried out, or its answer is not kept.",
    );
    failure(operation, 422, "Parts of the request are not acceptable; `errors` names each.");
    // The body of a request with a key is read, though the operation has none.
    for (status, about) in [
        (BadRequest::STATUS, BadRequest::ABOUT),
        (TooSlow::STATUS, TooSlow::ABOUT),
        (TooLarge::STATUS, TooLarge::ABOUT),
        (UnsupportedMedia::STATUS, UnsupportedMedia::ABOUT),
    ] {
        failure(operation, status, about);
    }
    for status in ["200", "201", "202"] {
        header(operation, status, "Idempotent-Replayed", "`true` when this was answered before.");
    }
}

fn minimal_edit(operation: &mut Value) {
    let about = "`return=minimal`: answer with 204 and without the thing (RFC 7240).";
    parameter(operation, "Prefer", about, PREFER_LENGTH_MAX, MINIMAL);
    let applied = json!({ "description": "`return=minimal`.", "schema": { "type": "string" } });
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    responses.entry("204").or_insert_with(|| {
        json!({ "description": "Done, as asked without the thing.", "headers": { "Preference-Applied": applied } })
    });
    responses.sort_keys();
}

fn minimal_creation(operation: &mut Value) {
    let about = "`return=minimal`: answer with 201 and `Location`, without a body (RFC 7240).";
    parameter(operation, "Prefer", about, PREFER_LENGTH_MAX, MINIMAL);
    header(operation, "201", "Preference-Applied", "`return=minimal`, where it was asked for.");
}

fn conditional(operation: &mut Value) {
    parameter(
        operation,
        "If-None-Match",
        "The `ETag` of the state that you have; 304 while it is still that.",
        1024,
        "\"9f86d081884c7d659a2feaa0c55ad015\"",
    );
    let responses = operation["responses"].as_object_mut();
    let Some(responses) = responses else { return };
    let etag = responses.get("200").map(|known| known["headers"]["ETag"].clone()).unwrap_or_default();
    responses.entry("304").or_insert_with(
        || json!({ "description": "It is in the state that you have.", "headers": { "ETag": etag } }),
    );
    responses.sort_keys();
}

fn counted(operation: &mut Value) {
    failure(operation, 429, "Too many requests; `Retry-After` says when to come back.");
    let statuses: Vec<String> =
        operation["responses"].as_object().into_iter().flat_map(Map::keys).cloned().collect();
    for status in statuses.iter().filter(|status| status.starts_with('2') || *status == "429") {
        for (name, about) in RATE_LIMIT_HEADERS {
            header(operation, status, name, about);
        }
    }
}

fn parameter(operation: &mut Value, name: &str, about: &str, length_max: u32, example: &str) {
    let Some(operation) = operation.as_object_mut() else { return };
    let listed = operation.entry("parameters").or_insert_with(|| json!([]));
    let Some(listed) = listed.as_array_mut() else { return };
    if listed.iter().any(|known| known["name"] == name) {
        return;
    }
    let schema = json!({ "type": "string", "maxLength": length_max });
    listed.push(json!({
        "name": name, "in": "header", "required": false, "description": about, "schema": schema, "example": example,
    }));
}

fn header(operation: &mut Value, status: &str, name: &str, about: &str) {
    let Some(response) = operation["responses"].get_mut(status).and_then(Value::as_object_mut) else {
        return;
    };
    let headers = response.entry("headers").or_insert_with(|| json!({}));
    if headers.get(name).is_none() {
        headers[name] = json!({ "description": about, "schema": { "type": "string" } });
    }
}

/// Documents a failure, if the handler does not already.
fn failure(operation: &mut Value, status: u16, about: &str) {
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let name = example_name(status);
    let example = json!({ &name: { "$ref": format!("#/components/examples/{name}") } });
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    let problem = json!({ "application/problem+json": { "schema": schema, "examples": example } });
    responses.entry(status.to_string()).or_insert_with(|| {
        let mut response = json!({ "description": about, "content": problem });
        if status == 429 {
            let schema = json!({ "type": "string" });
            response["headers"] =
                json!({ "Retry-After": { "description": "Seconds to wait.", "schema": schema } });
        }
        response
    });
    responses.sort_keys();
}
