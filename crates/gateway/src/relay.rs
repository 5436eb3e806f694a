//! Passes a stream on as it comes, reading along, and has the request booked when all of it has passed: the agent goes on
//! with the end of the stream, and booking takes as long as a commit.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::time::{Instant, sleep_until};

use crate::{limits::END_WAIT, meter::Meter, scanner::Scanner};

/// Why a stream to an agent ends before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Severed {
    #[error("read on from the model")]
    Upstream(#[source] reqwest::Error),
    #[error("pass on to an agent whose access has ended")]
    Revoked,
}

/// A response on its way from the upstream to an agent.
struct Relay<S> {
    upstream: S,
    scanner: Scanner,
    meter: Meter,
    /// Once the whole answer was seen.
    booked_by: Option<Instant>,
    is_over: bool,
}

/// The body that does it. Nothing is read from the upstream before the agent has room for it.
pub(crate) fn metered<S>(upstream: S, meter: Meter) -> UnsyncBoxBody<Bytes, Severed>
where
    S: Stream<Item = reqwest::Result<Bytes>> + Send + Unpin + 'static,
{
    let relay = Relay { upstream, scanner: Scanner::default(), meter, booked_by: None, is_over: false };
    let frames = stream::unfold(relay, |mut relay| async move {
        let next = relay.next().await?;
        Some((next.map(Frame::data), relay))
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

impl<S> Relay<S>
where
    S: Stream<Item = reqwest::Result<Bytes>> + Unpin,
{
    async fn next(&mut self) -> Option<Result<Bytes, Severed>> {
        if self.is_over {
            return None;
        }
        let cut = self.meter.agent.cut.clone();
        let next = loop {
            tokio::select! {
                biased;
                () = cut.cancelled() => break Some(Err(Severed::Revoked)),
                chunk = self.upstream.next() => break chunk.map(|chunk| chunk.map_err(Severed::Upstream)),
                () = at(self.booked_by), if self.meter.is_open() => {
                    let _tracked = self.meter.begin_to_settle();
                }
            }
        };
        match &next {
            Some(Ok(chunk)) => self.read(chunk),
            Some(Err(_)) | None => {
                self.is_over = true;
                let _tracked = self.meter.begin_to_settle();
            }
        }
        next
    }

    fn read(&mut self, chunk: &[u8]) {
        if !self.meter.is_open() {
            return;
        }
        self.scanner.feed(chunk);
        self.meter.note(self.scanner.reading(), self.scanner.progress());
        if self.scanner.is_over() {
            self.meter.seen_whole();
            self.booked_by.get_or_insert_with(|| Instant::now() + END_WAIT);
        } else {
            self.meter.note_for_the_worst();
        }
    }
}

/// Waits until then, or for ever.
async fn at(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}
