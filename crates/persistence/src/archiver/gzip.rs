//! Gzip on several threads: blocks that are compressed by themselves and put one after the other.
//!
//! The format allows that, and every reader takes such members for one stream. Each block goes to the next thread in
//! turn and is taken from it in the same turn, so nothing has to be put in order.
//!
//! Each member says in a field of its header how many bytes it has, so that a reader who knows the field can find the
//! next one without decompressing it, and do several at a time. Other readers pass the field over.

use libdeflater::{CompressionLvl, Compressor};
use std::{
    io::{self, Write},
    num::NonZero,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

/// Large enough that starting anew costs no more than a hundredth of the size.
pub(super) const BLOCK_BYTES: usize = 1 << 20;
/// Blocks that a thread may have before it: one that it works on, and one to go on with.
pub(super) const BLOCKS_WAITING_MAX: usize = 2;
/// What the program `gzip` takes when it is not told.
const LEVEL: i32 = 6;

/// The header of a member without fields, as the library writes it.
const PLAIN_HEADER_BYTES: usize = 10;
/// The header with the field: its length, its name, the length of its content, its content.
pub(super) const HEADER_BYTES: usize = PLAIN_HEADER_BYTES + 10;
/// What the header begins with: it is gzip, deflated, and has fields and nothing else.
pub(super) const HEADER_START: [u8; 4] = [0x1f, 0x8b, 8, FIELDS];
const FLAGS: usize = 3;
const FIELDS: u8 = 4;
/// All of the field but the size. The name is ours: "St".
pub(super) const FIELD_START: [u8; 6] = [8, 0, b'S', b't', 4, 0];

/// Compresses what is written to it; [`ParallelGzip::finish`] makes the stream whole.
#[derive(Debug)]
pub(super) struct ParallelGzip<W> {
    out: W,
    block: Vec<u8>,
    workers: Vec<Worker>,
    /// Blocks given away, and taken back.
    given: usize,
    taken: usize,
}

#[derive(Debug)]
struct Worker {
    blocks: SyncSender<Vec<u8>>,
    members: Receiver<io::Result<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl<W: Write> ParallelGzip<W> {
    pub(super) fn new(out: W, threads: NonZero<usize>) -> io::Result<Self> {
        let workers = (0..threads.get()).map(|_| Worker::start()).collect::<io::Result<_>>()?;
        Ok(Self { out, block: Vec::with_capacity(BLOCK_BYTES), workers, given: 0, taken: 0 })
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        // Nothing at all is one empty member.
        if !self.block.is_empty() || self.given == 0 {
            self.give()?;
        }
        while self.taken < self.given {
            self.take()?;
        }
        for worker in self.workers {
            drop(worker.blocks);
            worker.thread.join().map_err(|_| gone())?;
        }
        Ok(self.out)
    }

    fn give(&mut self) -> io::Result<()> {
        if self.given - self.taken == self.workers.len() * BLOCKS_WAITING_MAX {
            self.take()?;
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK_BYTES));
        self.workers[self.given % self.workers.len()].blocks.send(block).map_err(|_| gone())?;
        self.given += 1;
        Ok(())
    }

    fn take(&mut self) -> io::Result<()> {
        let member = self.workers[self.taken % self.workers.len()].members.recv().map_err(|_| gone())??;
        self.taken += 1;
        self.out.write_all(&member)
    }
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fitting = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..fitting]);
        if self.block.len() == BLOCK_BYTES {
            self.give()?;
        }
        Ok(fitting)
    }

    /// Only [`ParallelGzip::finish`] can: a block that is not full would be a member of its own.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Worker {
    /// A thread that ends when nobody gives it blocks any more.
    fn start() -> io::Result<Self> {
        let level = CompressionLvl::new(LEVEL).map_err(|_| io::Error::other("no such level of gzip"))?;
        let (blocks, received) = sync_channel::<Vec<u8>>(BLOCKS_WAITING_MAX);
        let (done, members) = sync_channel(BLOCKS_WAITING_MAX);
        let work = move || {
            let mut compressor = Compressor::new(level);
            for block in received {
                if done.send(member(&mut compressor, &block)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("gzip".to_owned()).spawn(work)?;
        Ok(Self { blocks, members, thread })
    }
}

fn member(compressor: &mut Compressor, block: &[u8]) -> io::Result<Vec<u8>> {
    const FIELD_BYTES: usize = HEADER_BYTES - PLAIN_HEADER_BYTES;
    let mut member = vec![0; FIELD_BYTES + compressor.gzip_compress_bound(block.len())];
    let plain = &mut member[FIELD_BYTES..];
    let length = FIELD_BYTES + compressor.gzip_compress(block, plain).map_err(io::Error::other)?;
    member.truncate(length);
    // The header goes to the front, and the field between it and the rest.
    member.copy_within(FIELD_BYTES..HEADER_BYTES, 0);
    member[FLAGS] |= FIELDS;
    let size = u32::try_from(length).map_err(io::Error::other)?;
    let field = [&FIELD_START[..], &size.to_le_bytes()].concat();
    member[PLAIN_HEADER_BYTES..HEADER_BYTES].copy_from_slice(&field);
    Ok(member)
}

fn gone() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}
