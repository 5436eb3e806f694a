//! An upstream of bare sockets: what it was sent and what it sends are known to the byte.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Waits for one request with a whole body on a fresh port.
pub struct Canned {
    listener: TcpListener,
}

impl Canned {
    pub async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// The first connection once its request has come, and that request as it was sent.
    pub async fn accept(&self) -> (TcpStream, String) {
        let (mut socket, _) = self.listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let count = socket.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "the request broke off");
            request.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8(request.clone()).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    return (socket, text);
                }
            }
        }
    }

    /// Answers one request with these pieces, flushed one by one, and gives back the request.
    pub fn answer(self, pieces: Vec<Vec<u8>>) -> JoinHandle<String> {
        tokio::task::spawn(async move {
            let (mut socket, request) = self.accept().await;
            for piece in pieces {
                socket.write_all(&piece).await.unwrap();
                socket.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            request
        })
    }
}

/// A chunk of a body with `transfer-encoding: chunked`.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
