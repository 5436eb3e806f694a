//! Bodies that are announced and do not come.

use crate::{client::PATIENCE, world::World};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A body of 30 MB.
const LARGE: [&str; 2] = ["content-type: application/json", "content-length: 31457280"];

/// Sends the head of a POST and reads what is answered before any of its body came, up to the end of the connection.
pub async fn announce(world: &World, path: &str, headers: &[&str]) -> String {
    let mut stream = TcpStream::connect(&world.address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: steward\r\n{}\r\n\r\n", headers.join("\r\n"));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[actix_web::test]
async fn a_stranger_cannot_announce_a_large_body() {
    let world = World::new().await;
    for path in ["login", "refresh", "register"] {
        let answer = announce(&world, &format!("/api/v1/auth/{path}"), &LARGE).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
    }
    let answer = announce(&world, "/api/v1/sessions", &LARGE).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}
