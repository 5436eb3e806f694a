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
    let mut stream = send_head(world, "POST", path, headers).await;
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// Sends the head of a request and reads how the answer begins, before any of the body came.
pub async fn first_word(world: &World, method: &str, path: &str, headers: &[&str]) -> String {
    let mut stream = send_head(world, method, path, headers).await;
    let mut word = [0; "HTTP/1.1 200".len()];
    timeout(PATIENCE, stream.read_exact(&mut word)).await.unwrap().unwrap();
    String::from_utf8_lossy(&word).into_owned()
}

async fn send_head(world: &World, method: &str, path: &str, headers: &[&str]) -> TcpStream {
    let mut stream = TcpStream::connect(&world.address).await.unwrap();
    let headers = headers.join("\r\n");
    let head = format!("{method} {path} HTTP/1.1\r\nhost: steward\r\n{headers}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
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
