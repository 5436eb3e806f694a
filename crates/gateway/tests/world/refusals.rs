//! What the gateway refuses, in the shape of the API's errors, and without asking the upstream.

use std::sync::Arc;

use gateway::{Gateway, GatewayError, Options, limits};
use secrecy::SecretString;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{World, error_type, offline_model};

#[tokio::test]
async fn unknown_tokens_are_401() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let url = format!("{}/v1/messages", world.agent.base_url);
    let longer = format!("{}0", world.agent.token);
    for token in [None, Some(""), Some("guess"), Some(longer.as_str())] {
        let mut request = world.client.post(&url).body("{}");
        if let Some(token) = token {
            request = request.header("x-api-key", token);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{token:?}");
        assert_eq!(error_type(response).await, "authentication_error");
    }
    assert!(model.requests().is_empty() && world.budgets.booked().is_empty());
}

#[tokio::test]
async fn other_paths_are_404() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    for path in ["/v1/messages/batches", "/v1/files", "/api/oauth", "/", "/v1/models/../files"] {
        let request = world.client.post(format!("{}{path}", world.agent.base_url));
        let response = request.header("x-api-key", &world.agent.token).body("{}").send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(error_type(response).await, "not_found_error");
    }
    assert!(model.requests().is_empty());
}

#[tokio::test]
async fn bodies_over_the_limit_are_413() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let piece = vec![b' '; 1024 * 1024];
    let pieces = limits::REQUEST_BODY_BYTES_MAX / piece.len() + 1;

    // Announced: refused before any of it is sent.
    let length = format!("content-length: {}", pieces * piece.len());
    assert_eq!(send_raw(&world, &length, &[], 0).await, 413);
    // Not announced: refused when it has become too much.
    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
    chunk.extend_from_slice(&piece);
    chunk.extend_from_slice(b"\r\n");
    assert_eq!(send_raw(&world, "transfer-encoding: chunked", &chunk, pieces).await, 413);
    assert!(model.requests().is_empty());
}

/// Sends a request with `times` pieces of body and reads the status of the answer.
async fn send_raw(world: &World, framing: &str, piece: &[u8], times: usize) -> u16 {
    let address = world.agent.base_url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let token = &world.agent.token;
    let head = format!("POST /v1/messages HTTP/1.1\r\nhost: h\r\nx-api-key: {token}\r\n{framing}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..times {
        socket.write_all(piece).await.unwrap();
    }
    let mut status_line = [0; 12];
    socket.read_exact(&mut status_line).await.unwrap();
    std::str::from_utf8(&status_line).unwrap().strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
}

#[tokio::test]
async fn too_many_requests_at_once_are_429() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let mut held = Vec::new();
    for _ in 0..limits::REQUESTS_PER_AGENT_MAX {
        held.push(world.ask_streaming("[[first:3600000]]").await);
    }
    let refused = world.ask("one more").await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    assert_eq!(error_type(refused).await, "rate_limit_error");
    drop(held);
    world.drained().await;
    assert_eq!(world.ask("now").await.status(), 200);
}

#[tokio::test]
async fn without_a_key_agents_are_told_so() {
    let model = offline_model().await;
    let world = World::with(&Options::new(model.url(), None)).await;
    let response = world.ask("hi").await;
    assert_eq!(response.status(), 401);
    let text = response.text().await.unwrap();
    assert!(text.contains("ANTHROPIC_API_KEY"), "{text}");
    assert!(model.requests().is_empty());
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_at_the_start() {
    let start = async |url: &str, key: &str| {
        let options = Options::new(url, Some(SecretString::from(key)));
        let costs = crate::costs(&Arc::default(), domain::UserId::new()).await;
        let prices = gateway::Prices::built_in().unwrap();
        let clock = Arc::new(domain::SystemClock);
        Gateway::start(&options, Arc::new(costs), Arc::new(prices), clock).await.unwrap_err()
    };
    for url in ["", "api.anthropic.com", "ftp://host", "http://"] {
        assert!(matches!(start(url, "k").await, GatewayError::UpstreamUrl(_)), "{url}");
    }
    assert!(matches!(start("http://host", "a\nb").await, GatewayError::UpstreamKey));
}
