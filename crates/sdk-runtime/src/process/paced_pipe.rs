//! The agent's stdout, read with few wake-ups: a pipe into which lines are written faster than anybody can tell them
//! apart is looked at once a tick, instead of being waited for.
//!
//! A waiting reader is woken for every line, which costs more than the line. Not polling does not help: the pipe stays
//! with the reactor, which is woken all the same. So in a burst the pipe is taken away from the reactor.

use std::{
    fs::File,
    future::Future as _,
    io::{self, Read as _},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    net::unix::pipe,
    process::ChildStdout,
    time::{Instant, Sleep, sleep_until},
};

/// Between two looks during a burst, and so the most that a line is late.
const TICK: Duration = Duration::from_millis(2);
/// Reads one after the other that found their line within `QUICK` make a burst. A model writes a tenth as fast; the
/// lines that end a message and ask for a permission come in their dozens.
const BURST_READS: u32 = 64;
const QUICK: Duration = Duration::from_micros(400);
/// A tick that brought less than this ends the burst: waiting is cheaper again.
const BURST_BYTES_MIN: usize = 1024;

/// A pipe that knows when not to wait.
#[derive(Debug)]
pub(super) struct PacedPipe {
    state: State,
    /// Quick reads so far, one after the other.
    quick_reads: u32,
    last_read: Instant,
}

#[derive(Debug)]
enum State {
    /// The reactor says when there is something.
    Waiting(pipe::Receiver),
    /// It is read at each tick.
    Ticking { pipe: File, tick: Pin<Box<Sleep>> },
    /// Between the two, and for good if the reactor would not have it back.
    Lost,
}

impl PacedPipe {
    pub(super) fn new(stdout: ChildStdout) -> io::Result<Self> {
        let pipe = pipe::Receiver::from_owned_fd(stdout.into_owned_fd()?)?;
        Ok(Self { state: State::Waiting(pipe), quick_reads: 0, last_read: Instant::now() })
    }

    /// Counts a read that had to be waited for, or not; the pipe of a burst is looked at from now on.
    fn was_read(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let is_quick = now.duration_since(self.last_read) < QUICK;
        self.quick_reads = if is_quick { self.quick_reads + 1 } else { 0 };
        self.last_read = now;
        if self.quick_reads < BURST_READS {
            return Ok(());
        }
        match std::mem::replace(&mut self.state, State::Lost) {
            State::Waiting(pipe) => {
                let pipe = File::from(pipe.into_nonblocking_fd()?);
                self.state = State::Ticking { pipe, tick: Box::pin(sleep_until(now + TICK)) };
            }
            other => self.state = other,
        }
        Ok(())
    }

    fn wait_again(&mut self) -> io::Result<()> {
        self.quick_reads = 0;
        match std::mem::replace(&mut self.state, State::Lost) {
            State::Ticking { pipe, .. } => {
                self.state = State::Waiting(pipe::Receiver::from_owned_fd(pipe.into())?);
            }
            other => self.state = other,
        }
        Ok(())
    }
}

impl AsyncRead for PacedPipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Waiting(pipe) => {
                    ready!(Pin::new(pipe).poll_read(cx, buffer))?;
                    return Poll::Ready(self.was_read());
                }
                State::Ticking { pipe, tick } => {
                    ready!(tick.as_mut().poll(cx));
                    let room = buffer.initialize_unfilled();
                    let room_bytes = room.len();
                    match pipe.read(room) {
                        Ok(bytes) => {
                            buffer.advance(bytes);
                            // What filled the room may have more behind it, which is read at once.
                            if bytes < room_bytes {
                                tick.as_mut().reset(Instant::now() + TICK);
                            }
                            let is_over = bytes < BURST_BYTES_MIN.min(room_bytes);
                            return Poll::Ready(if is_over { self.wait_again() } else { Ok(()) });
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_again()?,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                State::Lost => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests;
