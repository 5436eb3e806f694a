//! How large bodies may be, by address, and that they come as they are.

use crate::{
    client::Received,
    slow_bodies::{announce, first_word},
    world::{Plan, World},
};
use api::ApiSettings;
use reqwest::Method;
use serde_json::{Value, json};

const NOBODY: &str = "0190a000-0000-7000-8000-000000000001";
const KIB: usize = 1024;
/// Small ones, those of strangers, and those that define something.
const SMALL: usize = 256 * KIB;
const STRANGERS: usize = 64 * KIB;
const DEFINITION: usize = 4 * KIB * KIB;

/// The largest body of an address of the document; `None` where it is the operator's to say.
fn bound(route: &str) -> Option<usize> {
    match route.strip_prefix("/api/v1").unwrap() {
        "/sessions" | "/sessions/{id}/query" | "/sessions/{id}/approvals/{approval_id}" => None,
        "/sessions/{id}" | "/sessions/{id}/fork" => Some(DEFINITION),
        "/policies" | "/policies/{name}" => Some(DEFINITION),
        "/tasks" | "/tasks/{id}" | "/tasks/{id}/execute" => Some(DEFINITION),
        "/session-templates" | "/session-templates/{id}" => Some(DEFINITION),
        "/mcp-servers" | "/mcp-servers/{id}" | "/mcp-servers/import" => Some(DEFINITION),
        rest if rest.starts_with("/auth/") => Some(STRANGERS),
        _ => Some(SMALL),
    }
}

/// Every operation of the document that has a body: method, address, and the body's media type.
fn with_bodies() -> impl Iterator<Item = (Method, &'static str, &'static str)> {
    let paths = api::document()["paths"].as_object().unwrap();
    paths.iter().flat_map(|(route, item)| {
        item.as_object().unwrap().iter().filter_map(move |(method, operation)| {
            let media = operation["requestBody"]["content"].as_object()?.keys().next()?;
            Some((method.to_ascii_uppercase().parse().unwrap(), route.as_str(), media.as_str()))
        })
    })
}

/// An address of a route, and the type of its body.
fn address(route: &str, media: &str) -> (String, String) {
    let path: Vec<&str> =
        route.split('/').map(|part| if part.starts_with('{') { NOBODY } else { part }).collect();
    let boundary = if media.starts_with("multipart/") { "; boundary=x" } else { "" };
    (path.join("/"), format!("{media}{boundary}"))
}

/// Sends so many spaces, which are no JSON and no form.
async fn spaces(world: &World, (method, route, media): (&Method, &str, &str), bytes: usize) -> Received {
    let (path, media) = address(route, media);
    let request = world.admin.request(method.clone(), &path).header("content-type", media);
    world.admin.send(request.body(" ".repeat(bytes))).await
}

/// Announces so many bytes, and sends none.
async fn announced(world: &World, (method, route, media): (&Method, &str, &str), bytes: usize) -> String {
    let (path, media) = address(route, media);
    let token = format!("authorization: Bearer {}", world.admin.token.as_ref().unwrap());
    let (media, length) = (format!("content-type: {media}"), format!("content-length: {bytes}"));
    first_word(world, method.as_str(), &path, &[&token, &media, &length]).await
}

#[actix_web::test]
async fn a_body_is_as_large_as_its_address_needs() {
    let world = World::new().await;
    let mut prompted = 0;
    for (method, route, media) in with_bodies() {
        let operation = (&method, route, media);
        let (fitting, bytes_max) = match bound(route) {
            Some(bytes_max) => (bytes_max, Some(bytes_max)),
            None => (DEFINITION + 1, None),
        };
        let taken = spaces(&world, operation, fitting).await;
        assert_eq!(taken.status, 400, "{method} {route}: {}", taken.text());
        let Some(bytes_max) = bytes_max else {
            prompted += 1;
            continue;
        };
        let refused = announced(&world, operation, bytes_max + 1).await;
        assert_eq!(refused, "HTTP/1.1 413", "{method} {route}");
    }
    assert_eq!(prompted, 3);
}

#[actix_web::test]
async fn the_operator_bounds_all_of_them() {
    let settings = ApiSettings { body_bytes_max: 1000, ..ApiSettings::default() };
    let world = World::of(Plan { settings, ..Plan::default() }).await;
    for (method, route, media) in with_bodies() {
        assert_eq!(spaces(&world, (&method, route, media), 1001).await.status, 413, "{method} {route}");
    }
}

#[actix_web::test]
async fn a_key_changes_nothing_about_it() {
    let world = World::new().await;
    let long = "x".repeat(SMALL);
    for path in ["/api/v1/hooks", "/api/v1/auth/api-keys"] {
        let headers = [("idempotency-key", "k")];
        let refused = world.alice.post_with(path, json!({"name": long}), &headers).await;
        assert_eq!((refused.status, refused.error_code().as_str()), (413, "PAYLOAD_TOO_LARGE"), "{path}");
    }
}

#[actix_web::test]
async fn a_compressed_body_is_refused_before_any_of_it_came() {
    let world = World::new().await;
    let token = format!("authorization: Bearer {}", world.alice.token.as_ref().unwrap());
    let (json, form) = ("content-type: application/json", "content-type: multipart/form-data; boundary=x");
    for (path, headers) in [
        ("auth/login", vec![json]),
        ("auth/register", vec![json, "idempotency-key: k"]),
        ("sessions", vec![json, &token]),
        ("sessions", vec![json, &token, "idempotency-key: k"]),
        ("mcp-servers/import", vec![form, &token]),
    ] {
        for coding in ["zstd", "identity, gzip"] {
            let coding = format!("content-encoding: {coding}");
            let headers = [&headers[..], &[coding.as_str(), "content-length: 60"]].concat();
            let answer = announce(&world, &format!("/api/v1/{path}"), &headers).await;
            assert!(answer.starts_with("HTTP/1.1 415 "), "{path} {headers:?}: {answer}");
            assert!(answer.contains("UNSUPPORTED_CONTENT_ENCODING"), "{path} {headers:?}: {answer}");
            assert!(answer.contains("accept-encoding: identity"), "{path} {headers:?}: {answer}");
        }
    }
    let identity = [("content-encoding", "identity")];
    assert_eq!(world.alice.post_with("/api/v1/sessions", json!({}), &identity).await.status, 201);
    let listed = world.alice.get("/api/v1/sessions").await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
}

/// What reads bodies says so: those with a key are read although the operation has none.
#[test]
fn the_document_says_what_bodies_are_refused_for() {
    for (path, item) in api::document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let has_key = |one: &Value| one["name"] == "Idempotency-Key";
            let parameters = operation["parameters"].as_array();
            let is_read =
                operation["requestBody"].is_object() || parameters.into_iter().flatten().any(has_key);
            for status in ["400", "408", "413", "415"] {
                let is_listed = operation["responses"].get(status).is_some();
                assert!(is_listed || !is_read, "{method} {path} {status}");
            }
        }
    }
}
