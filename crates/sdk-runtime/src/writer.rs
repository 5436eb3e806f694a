//! The writer: whole lines to the agent, one after another, because a torn line is fatal to it.
//!
//! It is no task of its own. The driver has it write on the spot what the pipe takes at once, so that between a decision
//! and the agent there is one system call and nobody to wake; the rest is written while the driver waits.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::AsyncWrite,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
};

/// Room for so many lines that are not written yet. Clones are the same room.
#[derive(Debug, Clone)]
pub(crate) struct Rooms(Arc<Semaphore>);

/// Room for one line. Whoever wants to write takes it first, so that the driver never waits to write.
#[derive(Debug)]
pub(crate) struct Room {
    /// Given back when it is dropped.
    _permit: OwnedSemaphorePermit,
}

/// A line on its way to the agent.
#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    /// Told when the line is in the pipe; dropped when it never will be.
    written: Option<oneshot::Sender<()>>,
    _room: Room,
}

/// Writes lines until it is closed, then those already queued, then closes the pipe.
pub(crate) struct Writer {
    /// Until it is closed; a pipe is only closed by its drop.
    stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    rooms: Rooms,
    queue: VecDeque<Line>,
    /// How much of the first line is in the pipe.
    taken_bytes: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// What is queued is the last.
    Closing,
    Closed,
}

impl Rooms {
    /// Room for `lines_max` lines, and at least for one.
    pub(crate) fn new(lines_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(lines_max.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Waits for room for one line, in turn; `None` when nothing is written any more. Cancel safe.
    pub(crate) async fn room(&self) -> Option<Room> {
        Arc::clone(&self.0).acquire_owned().await.ok().map(|permit| Room { _permit: permit })
    }

    /// Room that there is now.
    pub(crate) fn room_now(&self) -> Option<Room> {
        Arc::clone(&self.0).try_acquire_owned().ok().map(|permit| Room { _permit: permit })
    }
}

impl Writer {
    pub(crate) fn new(stdin: Box<dyn AsyncWrite + Send + Unpin>, rooms: Rooms) -> Self {
        Self { stdin: Some(stdin), rooms, queue: VecDeque::new(), taken_bytes: 0, state: State::Open }
    }

    pub(crate) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Writes a line, now if the pipe takes it, else when `run` is awaited. `written` is told when it is in the pipe.
    pub(crate) fn write(&mut self, bytes: Vec<u8>, room: Room, written: Option<oneshot::Sender<()>>) {
        if self.state != State::Open {
            return;
        }
        self.queue.push_back(Line { bytes, written, _room: room });
        // What is left, an error too, is found by `run`, which is asked again because there is work.
        if self.queue.len() == 1 {
            let _ = self.poll_lines(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Takes no more lines, and closes the pipe when those there are have been written.
    pub(crate) fn close(&mut self) {
        if self.state == State::Open {
            self.state = State::Closing;
            self.rooms.0.close();
        }
    }

    /// Whether `run` has something to do.
    pub(crate) fn has_work(&self) -> bool {
        match self.state {
            State::Open => !self.queue.is_empty(),
            State::Closing => true,
            State::Closed => false,
        }
    }

    /// Writes what is queued. Done when the pipe is closed, by `close` or because the agent closed its end; pending for
    /// as long as there may be more lines. Cancel safe.
    pub(crate) async fn run(&mut self) {
        poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.poll_lines(context)) {
            tracing::debug!(%error, "the agent closed its stdin");
        } else if self.state == State::Open {
            return Poll::Pending;
        }
        if let Some(stdin) = &mut self.stdin
            && let Err(error) = ready!(Pin::new(stdin).poll_shutdown(context))
        {
            tracing::debug!(%error, "the agent's stdin was closed already");
        }
        self.end();
        Poll::Ready(())
    }

    /// Writes until the queue is empty.
    fn poll_lines(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stdin) = &mut self.stdin else {
            return Poll::Ready(Ok(()));
        };
        while let Some(Line { bytes, .. }) = self.queue.front() {
            while let Some(rest) = bytes.get(self.taken_bytes..).filter(|rest| !rest.is_empty()) {
                match ready!(Pin::new(&mut *stdin).poll_write(context, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    taken_bytes => self.taken_bytes += taken_bytes,
                }
            }
            ready!(Pin::new(&mut *stdin).poll_flush(context))?;
            self.taken_bytes = 0;
            if let Some(Line { written: Some(written), .. }) = self.queue.pop_front() {
                // The sender of the line may have stopped waiting, which changes nothing.
                let _ = written.send(());
            }
        }
        Poll::Ready(Ok(()))
    }

    fn end(&mut self) {
        self.state = State::Closed;
        self.stdin = None;
        self.rooms.0.close();
        self.queue.clear();
    }
}

impl Drop for Writer {
    /// Whoever waits for room learns that nothing is written any more.
    fn drop(&mut self) {
        self.rooms.0.close();
    }
}

#[cfg(test)]
mod tests;
