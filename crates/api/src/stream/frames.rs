//! A watch as server-sent events. The frames are pulled by the connection, so a reader that stops holds up nobody:
//! its watch falls behind and ends.

use super::event::{ClosingReason, StreamEvent};
use crate::caller::pass::{Pass, revocation};
use apidoc::Frame;
use domain::{EventKind, TurnId};
use engine::{Error, Revoked, Sight, Watch};
use futures::{Stream, StreamExt, stream};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

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

/// One client that follows one session.
pub struct Follower {
    pub watch: Watch,
    pub shown: Shown,
    pub pass: Pass,
    /// How often `pass` is checked again, and a comment keeps the connection alive.
    pub check_interval: Duration,
}

/// What a follower sees, as frames, for as long as it may see it.
pub fn of(follower: Follower) -> impl Stream<Item = Frame<StreamEvent>> {
    let hint = stream::once(async { Frame::Retry(RECONNECT_DELAY) });
    let check_at = Instant::now() + follower.check_interval;
    let revoked = follower.pass.revoked();
    let frames = stream::unfold(Some((follower, revoked, check_at)), |state| async move {
        let (mut follower, mut revoked, check_at) = state?;
        let shown = follower.shown;
        match step(&mut follower, &mut revoked, check_at).await {
            Step::Shown(sight) => {
                let rest = if shown.ends_with(&sight) { None } else { Some((follower, revoked, check_at)) };
                return Some((frame((*sight).into()), rest));
            }
            Step::Over(why) => {
                let closing = StreamEvent::closing(why);
                return Some((
                    Frame::Event { id: None, name: closing.name().to_owned(), data: closing },
                    None,
                ));
            }
            Step::Check => {}
        }
        if follower.pass.is_refused().await {
            tracing::debug!("an event stream ended with its credential");
            let closing = StreamEvent::closing(ClosingReason::CredentialEnded);
            return Some((Frame::Event { id: None, name: closing.name().to_owned(), data: closing }, None));
        }
        let check_at = Instant::now() + follower.check_interval;
        Some((Frame::comment("still here"), Some((follower, revoked, check_at))))
    });
    hint.chain(frames)
}

/// What a follower does next.
enum Step {
    Shown(Box<Sight>),
    /// It is time to look at the credential.
    Check,
    /// There is nothing more to be shown.
    Over(ClosingReason),
}

async fn step(follower: &mut Follower, revoked: &mut Option<Revoked>, check_at: Instant) -> Step {
    // In a busy session something is always there to be shown, so the time is looked at first.
    if Instant::now() >= check_at {
        return Step::Check;
    }
    tokio::select! {
        biased;
        () = revocation(revoked) => Step::Check,
        step = timeout_at(check_at, next(&mut follower.watch, follower.shown)) => step.unwrap_or(Step::Check),
    }
}

/// The next thing that is shown, or why there will be none. Safe to cancel.
async fn next(watch: &mut Watch, shown: Shown) -> Step {
    loop {
        match watch.next().await {
            Ok(Some(sight)) if shown.includes(&sight) => return Step::Shown(Box::new(sight)),
            Ok(Some(_)) => {}
            Ok(None) => {
                tracing::debug!("a watcher fell behind and was disconnected");
                return Step::Over(ClosingReason::TooSlow);
            }
            Err(Error::ShuttingDown) => return Step::Over(ClosingReason::ServerEnds),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an event stream broke off");
                return Step::Over(ClosingReason::BrokenOff);
            }
        }
    }
}

fn frame(event: StreamEvent) -> Frame<StreamEvent> {
    let id = event.seq().map(|seq| seq.to_string());
    Frame::Event { id, name: event.name().to_owned(), data: event }
}
