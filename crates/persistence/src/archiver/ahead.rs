//! A reader with a thread of its own: what comes next is decompressed while what came before is written.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

const BLOCK_BYTES: usize = 256 * 1024;
/// With these it is ahead by a megabyte at most, however much an archive unpacks to.
const BLOCKS_WAITING_MAX: usize = 4;

/// Gives what the other thread has read.
///
/// That thread ends when this is dropped: it has nobody to give blocks to.
#[derive(Debug)]
pub(super) struct Ahead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    position: usize,
}

impl Ahead {
    pub(super) fn of(source: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, blocks) = sync_channel(BLOCKS_WAITING_MAX);
        thread::Builder::new().name("decompress".to_owned()).spawn(move || give(source, &sender))?;
        Ok(Self { blocks, block: Vec::new(), position: 0 })
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.block.len() {
            // The other has ended, and said before if that was by an error.
            let Ok(block) = self.blocks.recv() else { return Ok(0) };
            (self.block, self.position) = (block?, 0);
        }
        let read = (&self.block[self.position..]).read(buffer)?;
        self.position += read;
        Ok(read)
    }
}

fn give(mut source: impl Read, blocks: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let read = source.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block);
        if matches!(read, Ok(0)) {
            return;
        }
        // What was read before an error is still good.
        if !block.is_empty() && blocks.send(Ok(block)).is_err() {
            return;
        }
        if let Err(error) = read {
            // Nobody waits for it if this fails.
            let _ = blocks.send(Err(error));
            return;
        }
    }
}
