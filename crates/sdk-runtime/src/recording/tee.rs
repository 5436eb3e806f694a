//! Tees: the pipes and the life of an agent, with somebody who listens.

use std::{
    io,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Direction,
    scribe::{Note, Scribe},
};
use crate::{
    error::Exit,
    framing::{LineSplitter, Piece},
    launcher::{Haste, Life},
};

/// Lines of one direction.
struct Ear {
    direction: Direction,
    splitter: LineSplitter,
    scribe: Scribe,
    has_ended: bool,
}

pub(super) struct TeeReader {
    inner: Box<dyn AsyncRead + Send + Unpin>,
    ear: Ear,
}

pub(super) struct TeeWriter {
    inner: Box<dyn AsyncWrite + Send + Unpin>,
    ear: Ear,
}

pub(super) struct TeeLife {
    inner: Box<dyn Life>,
    /// Gone with the agent, because handles of it may live on and the recording is complete.
    scribe: Mutex<Option<Scribe>>,
}

impl Ear {
    fn new(direction: Direction, scribe: Scribe, line_bytes_max: usize) -> Self {
        Self { direction, splitter: LineSplitter::new(line_bytes_max), scribe, has_ended: false }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let (direction, scribe) = (self.direction, &self.scribe);
        self.splitter.push(bytes, |piece| scribe.note(note(direction, &piece)));
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let (direction, scribe) = (self.direction, &self.scribe);
        self.splitter.end(|piece| scribe.note(note(direction, &piece)));
        scribe.note(Note::End(direction));
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.end();
    }
}

fn note(direction: Direction, piece: &Piece<'_>) -> Note {
    match piece {
        Piece::Line(line) => Note::Line(direction, line.to_vec()),
        Piece::Oversized { bytes, .. } => Note::Oversized(direction, *bytes),
    }
}

impl TeeReader {
    pub(super) fn new(
        inner: Box<dyn AsyncRead + Send + Unpin>,
        scribe: Scribe,
        line_bytes_max: usize,
    ) -> Self {
        Self { inner, ear: Ear::new(Direction::Out, scribe, line_bytes_max) }
    }
}

impl AsyncRead for TeeReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        match &buffer.filled()[before..] {
            [] if buffer.remaining() > 0 => self.ear.end(),
            read => self.ear.hear(read),
        }
        Poll::Ready(Ok(()))
    }
}

impl TeeWriter {
    pub(super) fn new(
        inner: Box<dyn AsyncWrite + Send + Unpin>,
        scribe: Scribe,
        line_bytes_max: usize,
    ) -> Self {
        Self { inner, ear: Ear::new(Direction::In, scribe, line_bytes_max) }
    }
}

impl AsyncWrite for TeeWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.ear.hear(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = ready!(Pin::new(&mut self.inner).poll_shutdown(context));
        self.ear.end();
        Poll::Ready(done)
    }
}

impl TeeLife {
    pub(super) fn new(inner: Box<dyn Life>, scribe: Scribe) -> Self {
        Self { inner, scribe: Mutex::new(Some(scribe)) }
    }
}

#[async_trait]
impl Life for TeeLife {
    fn pid(&self) -> Option<u32> {
        self.inner.pid()
    }

    fn end(&self, haste: Haste) {
        self.inner.end(haste);
    }

    fn restart_cpu_time(&self) {
        self.inner.restart_cpu_time();
    }

    async fn ended(&self) -> Exit {
        let exit = self.inner.ended().await;
        let scribe = self.scribe.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(scribe) = scribe {
            scribe.note(Note::Exit(exit.clone()));
        }
        exit
    }
}
