//! A handshake with a server of the older kind: one event stream from it, and a post for each message to it.
//!
//! The MCP SDK has given this transport up, which agents still speak and servers still offer.

use super::{
    Found, SAID_BYTES_MAX, ask,
    http::{headers, of_request, target, words},
};
use crate::Recipe;
use ::http::{HeaderMap, header};
use futures::{StreamExt, stream::BoxStream};
use hooks::webhook::Outbound;
use reqwest::{Client, Url};
use rmcp::{
    RoleClient,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use sse_stream::{Sse, SseStream};
use std::io;

const EVENT_STREAM: &str = "text/event-stream";
/// The event that says where messages are posted to.
const ENDPOINT_EVENT: &str = "endpoint";
const MESSAGE_EVENT: &str = "message";

/// Connects, shakes hands and goes.
pub(super) async fn probe(outbound: &Outbound, recipe: &Recipe) -> Result<Found, String> {
    let url = target(outbound, recipe)?;
    let connection = Connection::open(outbound.http().clone(), url, headers(recipe)?).await?;
    ask(connection).await.map_err(|failure| words(&failure))
}

struct Connection {
    http: Client,
    headers: HeaderMap,
    endpoint: Url,
    events: BoxStream<'static, Result<Sse, sse_stream::Error>>,
}

impl Connection {
    async fn open(http: Client, url: Url, headers: HeaderMap) -> Result<Self, String> {
        let request = http.get(url.clone()).headers(headers.clone()).header(header::ACCEPT, EVENT_STREAM);
        let response = request.send().await.map_err(|error| of_request(&error))?;
        if !response.status().is_success() {
            return Err(format!("answered with status {}", response.status().as_u16()));
        }
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(|media_type| media_type.starts_with(EVENT_STREAM)) {
            return Err("answered with something else than an event stream".to_owned());
        }
        let mut left = SAID_BYTES_MAX;
        let bytes = response.bytes_stream().map(move |chunk| {
            let chunk = chunk.map_err(|error| io::Error::other(of_request(&error)))?;
            left = left.checked_sub(chunk.len()).ok_or_else(|| io::Error::other("said too much"))?;
            Ok::<_, io::Error>(chunk)
        });
        let mut events = SseStream::from_bytes_stream(bytes).boxed();
        let endpoint = loop {
            match events.next().await {
                Some(Ok(event)) if event.event.as_deref() == Some(ENDPOINT_EVENT) => {
                    break endpoint(&url, event.data.as_deref().unwrap_or_default())?;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) => return Err("said what is no event stream, or too much".to_owned()),
                None => return Err("ended before it said where messages are posted to".to_owned()),
            }
        };
        Ok(Self { http, headers, endpoint, events })
    }
}

/// It may choose the path, but not whom our headers are sent to.
fn endpoint(url: &Url, named: &str) -> Result<Url, String> {
    let endpoint = url.join(named.trim()).map_err(|_| "named no address to post to".to_owned())?;
    if endpoint.origin() == url.origin() {
        Ok(endpoint)
    } else {
        Err("wants messages to be posted to another server".to_owned())
    }
}

impl Transport<RoleClient> for Connection {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let request = self.http.post(self.endpoint.clone()).headers(self.headers.clone()).json(&item);
        async move {
            let response = request.send().await.map_err(|error| io::Error::other(of_request(&error)))?;
            if response.status().is_success() {
                return Ok(());
            }
            Err(io::Error::other(format!("answered with status {}", response.status().as_u16())))
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let event = self.events.next().await?.ok()?;
            if event.event.as_deref().unwrap_or(MESSAGE_EVENT) != MESSAGE_EVENT {
                continue;
            }
            // What is no message is passed over, as every client does.
            if let Ok(message) = serde_json::from_str(event.data.as_deref().unwrap_or_default()) {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.events = futures::stream::empty().boxed();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_posted_to_the_server_itself() {
        let url = Url::parse("https://h.example/mcp/sse?key=k").unwrap();
        let named = |named: &str| endpoint(&url, named).map(String::from);
        assert_eq!(named("/messages?id=1").unwrap(), "https://h.example/messages?id=1");
        assert_eq!(named("post").unwrap(), "https://h.example/mcp/post");
        for elsewhere in ["https://other.example/", "http://h.example/", "//h.example:444/", "file:///x"] {
            assert!(named(elsewhere).is_err(), "{elsewhere}");
        }
    }
}
