//! One kept-alive HTTP connection.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

/// Longer than anything that is measured takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection and the headers that go with every request on it.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    address: SocketAddr,
    /// A name and a value that say who asks.
    credential: Option<(&'static str, String)>,
}

impl Connection {
    pub(crate) async fn open(
        address: SocketAddr,
        credential: Option<(&'static str, String)>,
    ) -> Result<Self> {
        Ok(Self { sender: connect(address).await?, address, credential })
    }

    /// Sends one request and reads its whole answer.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes)> {
        let whole = async {
            let answer = self.begin(method, path, body).await?;
            let status = answer.status();
            Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        timeout(ANSWER_TIMEOUT, whole).await.with_context(|| format!("{path} was not answered in time"))?
    }

    /// Sends one request and gives its answer as it comes.
    pub(crate) async fn begin(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<http::Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some((name, value)) = &self.credential {
            request = request.header(*name, value);
        }
        // Servers close what has been idle for some seconds.
        if self.sender.is_closed() {
            self.sender = connect(self.address).await?;
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(Full::new(body))?).await?)
    }

    /// POSTs JSON and gives the JSON of an answer that says yes.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.send(Method::POST, path, body.to_string().into()).await?;
        if !status.is_success() {
            bail!("POST {path} was answered with {status}: {}", String::from_utf8_lossy(&answer));
        }
        serde_json::from_slice(&answer).with_context(|| format!("POST {path} was not answered with JSON"))
    }
}

async fn connect(address: SocketAddr) -> Result<http1::SendRequest<Full<Bytes>>> {
    let socket = TcpStream::connect(address).await.context("failed to connect")?;
    socket.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    // It ends with the sender; what went wrong on it is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(sender)
}
