//! Passes an answer on, a stream as it comes and reading along, and has the request booked when all of it has passed: the
//! agent goes on with the end of the answer, and booking takes as long as a commit.

use bytes::Bytes;
use futures::{Stream, StreamExt, future::OptionFuture};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::time::{Instant, sleep_until};

use crate::{limits::END_WAIT, meter::Meter, refusal, scanner::Scanner};

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
    /// When its booking begins if the stream does not end; once the whole answer was seen.
    due: Option<Instant>,
    is_over: bool,
}

/// An answer that is all there. Its last byte takes the meter with it.
struct Whole {
    body: Bytes,
    _meter: Meter,
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// The body of an answer that came whole.
pub(crate) fn whole(body: Bytes, mut meter: Meter) -> UnsyncBoxBody<Bytes, Severed> {
    meter.seen_whole();
    refusal::whole(Bytes::from_owner(Whole { body, _meter: meter }))
}

/// The body of one that comes as a stream. Nothing is read from the upstream before the agent has room for it.
pub(crate) fn stream<S>(upstream: S, meter: Meter) -> UnsyncBoxBody<Bytes, Severed>
where
    S: Stream<Item = reqwest::Result<Bytes>> + Send + Unpin + 'static,
{
    let relay = Relay { upstream, scanner: Scanner::default(), meter, due: None, is_over: false };
    let frames = futures::stream::unfold(relay, |mut relay| async move {
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
            let due = OptionFuture::from(self.due.map(sleep_until));
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
            self.meter.seen_whole();
            self.due.get_or_insert_with(|| Instant::now() + END_WAIT);
        } else {
            self.meter.note_for_the_worst();
        }
    }

    fn begin_to_settle(&mut self) {
        let _tracked = self.meter.begin_to_settle();
        self.due = None;
    }
}
