//! A watch as server-sent events. The frames are pulled by the connection, so a reader that stops holds up nobody:
//! its watch falls behind and ends.

use super::event::StreamEvent;
use apidoc::Frame;
use domain::{EventKind, TurnId};
use engine::{Error, Sight, Watch};
use futures::{Stream, StreamExt, stream};
use std::time::Duration;
use tokio::time::timeout;

/// How long nothing may be sent before a comment keeps the connection alive.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// What a client is told to wait before it reconnects.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// Which part of a session a stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Everything, for as long as the client stays.
    Session,
    /// One turn, until its result.
    Turn(TurnId),
}

impl Shown {
    fn includes(self, sight: &Sight) -> bool {
        match (self, sight) {
            (Self::Session, _) => true,
            (Self::Turn(turn), Sight::Event(event)) => event.turn_id == Some(turn),
            (Self::Turn(turn), Sight::Delta(delta)) => delta.turn_id == turn,
        }
    }

    fn ends_with(self, sight: &Sight) -> bool {
        match (self, sight) {
            (Self::Turn(_), Sight::Event(event)) => event.kind == EventKind::Result,
            (Self::Turn(_), Sight::Delta(_)) | (Self::Session, _) => false,
        }
    }
}

/// What `watch` sees, as frames.
pub fn of(watch: Watch, shown: Shown) -> impl Stream<Item = Frame<StreamEvent>> {
    let hint = stream::once(async { Frame::Retry(RECONNECT_DELAY) });
    let frames = stream::unfold(Some(watch), move |watch| async move {
        let mut watch = watch?;
        match timeout(COMMENT_INTERVAL, next(&mut watch, shown)).await {
            Err(_) => Some((Frame::comment("still here"), Some(watch))),
            Ok(None) => None,
            Ok(Some(sight)) => {
                let rest = if shown.ends_with(&sight) { None } else { Some(watch) };
                Some((frame(sight.into()), rest))
            }
        }
    });
    hint.chain(frames)
}

/// The next thing that is shown; `None` when there will be none. Safe to cancel.
async fn next(watch: &mut Watch, shown: Shown) -> Option<Sight> {
    loop {
        match watch.next().await {
            Ok(Some(sight)) if shown.includes(&sight) => return Some(sight),
            Ok(Some(_)) => {}
            Ok(None) => {
                tracing::debug!("a watcher fell behind and was disconnected");
                return None;
            }
            Err(Error::ShuttingDown) => return None,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an event stream broke off");
                return None;
            }
        }
    }
}

fn frame(event: StreamEvent) -> Frame<StreamEvent> {
    let id = event.seq().map(|seq| seq.to_string());
    Frame::Event { id, name: event.name().to_owned(), data: event }
}
