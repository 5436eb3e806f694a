//! Passes a stream on as it comes, reading along, and has the request booked when all of it has passed: the agent goes on
//! with the end of the stream, and booking takes as long as a commit.

use bytes::Bytes;
use futures::{Stream, StreamExt, future::OptionFuture, stream};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::task_tracker::TaskTrackerToken;

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
    /// Once the whole answer was seen, and until its booking begins. Dropped after the meter, which begins it.
    due: Option<Due>,
    is_over: bool,
}

/// A booking that is put off until the agent has the end of the stream.
struct Due {
    /// When it begins without one.
    at: Instant,
    /// Whoever waits for the agent's bookings waits for this one.
    _booking: TaskTrackerToken,
}

/// The body that does it. Nothing is read from the upstream before the agent has room for it.
pub(crate) fn metered<S>(upstream: S, meter: Meter) -> UnsyncBoxBody<Bytes, Severed>
where
    S: Stream<Item = reqwest::Result<Bytes>> + Send + Unpin + 'static,
{
    let relay = Relay { upstream, scanner: Scanner::default(), meter, due: None, is_over: false };
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
            let due = OptionFuture::from(self.due.as_ref().map(|due| sleep_until(due.at)));
            tokio::select! {
                biased;
                () = cut.cancelled() => break Some(Err(Severed::Revoked)),
                Some(()) = due => self.begin_to_settle(),
                chunk = self.upstream.next() => break chunk.map(|chunk| chunk.map_err(Severed::Upstream)),
            }
        };
        match &next {
            Some(Ok(chunk)) => self.read(chunk),
            Some(Err(_)) | None => {
                self.is_over = true;
                self.begin_to_settle();
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
            self.due.get_or_insert_with(|| Due {
                at: Instant::now() + END_WAIT,
                _booking: self.meter.agent.bookings.token(),
            });
        } else {
            self.meter.note_for_the_worst();
        }
    }

    fn begin_to_settle(&mut self) {
        let _tracked = self.meter.begin_to_settle();
        self.due = None;
    }
}
