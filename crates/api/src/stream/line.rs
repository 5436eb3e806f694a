//! The sending end of a WebSocket, which gives up on a reader that takes nothing.

use super::talk::Told;
use actix_ws::{CloseReason, Item, Session};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::timeout;

/// Largest frame that is sent. A longer text goes out in pieces: the socket holds some frames back for a slow
/// reader, and this bounds how much memory they take.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// One connection's way out.
pub struct Line {
    session: Session,
    send_timeout: Duration,
}

/// The reader is gone, or took nothing for too long.
#[derive(Debug)]
pub struct Gone;

impl Line {
    /// Sends over `session`; each frame has to be taken within `send_timeout`.
    pub fn new(session: Session, send_timeout: Duration) -> Self {
        Self { session, send_timeout }
    }

    /// Sends `message` as one text of JSON.
    pub async fn send(&mut self, message: &Told) -> Result<(), Gone> {
        let json = serde_json::to_string(message).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a message cannot be written as JSON");
            Gone
        })?;
        if json.len() <= FRAME_BYTES_MAX {
            return within(self.send_timeout, self.session.text(json)).await;
        }
        let mut rest = Bytes::from(json);
        let first = rest.split_to(FRAME_BYTES_MAX);
        self.piece(Item::FirstText(first)).await?;
        while rest.len() > FRAME_BYTES_MAX {
            let next = rest.split_to(FRAME_BYTES_MAX);
            self.piece(Item::Continue(next)).await?;
        }
        self.piece(Item::Last(rest)).await
    }

    /// Answers a ping of the client's.
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Gone> {
        within(self.send_timeout, self.session.pong(payload)).await
    }

    /// Asks the client whether it is still there.
    pub async fn ping(&mut self) -> Result<(), Gone> {
        within(self.send_timeout, self.session.ping(b"")).await
    }

    /// Says goodbye. A client that does not take it is dropped all the same.
    pub async fn close(self, reason: CloseReason) -> Result<(), Gone> {
        within(self.send_timeout, self.session.close(Some(reason))).await
    }

    async fn piece(&mut self, item: Item) -> Result<(), Gone> {
        within(self.send_timeout, self.session.continuation(item)).await
    }
}

async fn within(
    limit: Duration,
    sending: impl Future<Output = Result<(), actix_ws::Closed>>,
) -> Result<(), Gone> {
    match timeout(limit, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}
