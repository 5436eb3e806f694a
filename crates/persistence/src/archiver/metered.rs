//! Readers for what cannot be trusted: one that gives no more than is allowed, one that ends only when all has come.

use bytes::{Buf, Bytes};
use domain::ports::ArchiveError;
use std::{
    cell::Cell,
    io::{self, BufRead, Read},
    rc::Rc,
};
use tokio::sync::mpsc;

/// Gives no more bytes than its [`Meter`] allows: what is decompressed may be endless.
#[derive(Debug)]
pub(super) struct Metered<R> {
    inner: R,
    meter: Meter,
}

/// How much may be read from now on.
#[derive(Debug, Clone)]
pub(super) struct Meter(Rc<Cell<u64>>);

impl<R> Metered<R> {
    pub(super) fn new(inner: R) -> (Self, Meter) {
        let meter = Meter(Rc::new(Cell::new(0)));
        (Self { inner, meter: meter.clone() }, meter)
    }
}

impl Meter {
    /// Counts anew: what was not used is not saved up.
    pub(super) fn allow(&self, bytes: u64) {
        self.0.set(bytes);
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.meter.0.get();
        // One byte too many is read, which tells an end from a bomb.
        let wanted = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..wanted])?;
        match left.checked_sub(read as u64) {
            Some(left) => {
                self.meter.0.set(left);
                Ok(read)
            }
            None => Err(io::Error::other("it unpacks to more than its manifest says")),
        }
    }
}

/// The pieces of an object as they come.
///
/// When nobody sends any more before the whole has come, that is an error: whoever restores has gone away.
#[derive(Debug)]
pub(super) struct Received {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
    left: u64,
}

impl Received {
    /// Of so many bytes.
    pub(super) fn new(pieces: mpsc::Receiver<Bytes>, size: u64) -> Self {
        Self { pieces, piece: Bytes::new(), left: size }
    }
}

impl BufRead for Received {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() && self.left > 0 {
            let Some(piece) = self.pieces.blocking_recv() else {
                return Err(io::Error::other("it is cut off"));
            };
            self.left = self.left.saturating_sub(piece.len() as u64);
            self.piece = piece;
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, amount: usize) {
        self.piece.advance(amount);
    }
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// What went wrong with an archive: the store, if it failed, because then the rest is only cut off.
pub(super) fn cause<T>(
    sent: Result<(), ArchiveError>,
    unpacked: Result<T, ArchiveError>,
) -> Result<T, ArchiveError> {
    match (sent, unpacked) {
        (Err(error), _) => Err(error),
        (Ok(()), unpacked) => unpacked,
    }
}
