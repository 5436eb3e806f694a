//! Gzip that is decompressed on several threads, where its members say how long they are.
//!
//! One thread cuts the stream into members, which the others decompress whole; each goes to the next thread in turn and
//! is taken from it in the same turn. What was not written by us, or before members said so, is decompressed by one.

use super::{
    ahead::Ahead,
    gzip::{BLOCK_BYTES, BLOCKS_WAITING_MAX, FIELD_START, HEADER_BYTES, HEADER_START},
};
use flate2::bufread::MultiGzDecoder;
use libdeflater::Decompressor;
use std::{
    io::{self, BufRead, Cursor, Read},
    num::NonZero,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// Where in a header the field is that tells the size.
const FIELD_AT: usize = HEADER_BYTES - 10;
/// The end of a member: a checksum, and how many bytes come out of it.
const FOOTER_BYTES: usize = 8;
const LENGTH_BYTES: usize = 4;
/// A block that cannot be compressed becomes a little larger, but not by so much.
const MEMBER_BYTES_MAX: usize = BLOCK_BYTES + BLOCK_BYTES / 16;

/// What comes out of a gzip stream, decompressed by other threads, so many at most.
pub(super) fn gunzip(
    mut source: impl BufRead + Send + 'static,
    threads: NonZero<usize>,
) -> io::Result<Box<dyn Read>> {
    let header = header(&mut source)?;
    if header.len() == HEADER_BYTES && size(&header).is_ok() {
        return Ok(Box::new(ParallelGunzip::start(header, source, threads)?));
    }
    Ok(Box::new(Ahead::of(MultiGzDecoder::new(Cursor::new(header).chain(source)))?))
}

/// Gives what the threads have decompressed, in the order in which it came. They end when this is dropped: they have
/// nobody to give anything to.
#[derive(Debug)]
struct ParallelGunzip {
    blocks: Vec<Receiver<io::Result<Vec<u8>>>>,
    taken: usize,
    block: Vec<u8>,
    position: usize,
}

impl ParallelGunzip {
    fn start(
        header: Vec<u8>,
        source: impl Read + Send + 'static,
        threads: NonZero<usize>,
    ) -> io::Result<Self> {
        let (mut members, mut blocks) = (Vec::new(), Vec::new());
        for _ in 0..threads.get() {
            let (give_member, take_member) = sync_channel(BLOCKS_WAITING_MAX);
            let (give_block, take_block) = sync_channel(BLOCKS_WAITING_MAX);
            spawn("gunzip", move || decompress(take_member, &give_block))?;
            members.push(give_member);
            blocks.push(take_block);
        }
        spawn("members", move || cut(header, source, &members))?;
        Ok(Self { blocks, taken: 0, block: Vec::new(), position: 0 })
    }
}

impl Read for ParallelGunzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A block may be empty, and is not the end.
        while self.position == self.block.len() {
            // No more comes of a thread in turn when the stream has ended; what was wrong with it was said before.
            let Ok(block) = self.blocks[self.taken % self.blocks.len()].recv() else { return Ok(0) };
            (self.block, self.position) = (block?, 0);
            self.taken += 1;
        }
        let read = (&self.block[self.position..]).read(buffer)?;
        self.position += read;
        Ok(read)
    }
}

/// Gives one member after the other to the threads in turn, and an error in place of one that is not whole.
fn cut(first: Vec<u8>, mut source: impl Read, members: &[SyncSender<io::Result<Vec<u8>>>]) {
    let mut next = Ok(first);
    for thread in members.iter().cycle() {
        let member = next.and_then(|header| member(header, &mut source));
        let is_whole = member.is_ok();
        if thread.send(member).is_err() || !is_whole {
            return;
        }
        next = header(&mut source);
        if matches!(&next, Ok(header) if header.is_empty()) {
            return;
        }
    }
}

/// The header of the next member; of what ends before, all that is left.
fn header(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    source.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    Ok(header)
}

/// How many bytes the member of this header has with it.
fn size(header: &[u8]) -> io::Result<usize> {
    let field = header.get(FIELD_AT..).and_then(|field| field.strip_prefix(&FIELD_START));
    let size = field.and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
    let size = size.filter(|_| header.starts_with(&HEADER_START));
    let size = size.ok_or_else(|| wrong("a part of it does not say how long it is"))? as usize;
    if (HEADER_BYTES + FOOTER_BYTES..=MEMBER_BYTES_MAX).contains(&size) {
        Ok(size)
    } else {
        Err(wrong("a part of it says that it is as long as none is"))
    }
}

fn member(mut header: Vec<u8>, source: &mut impl Read) -> io::Result<Vec<u8>> {
    let size = size(&header)?;
    header.reserve_exact(size - HEADER_BYTES);
    source.by_ref().take((size - HEADER_BYTES) as u64).read_to_end(&mut header)?;
    if header.len() == size { Ok(header) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Decompresses members until nobody gives any, or takes what comes of them.
fn decompress(members: Receiver<io::Result<Vec<u8>>>, blocks: &SyncSender<io::Result<Vec<u8>>>) {
    let mut decompressor = Decompressor::new();
    for member in members {
        let block = member.and_then(|member| block(&mut decompressor, &member));
        let is_good = block.is_ok();
        if blocks.send(block).is_err() || !is_good {
            return;
        }
    }
}

fn block(decompressor: &mut Decompressor, member: &[u8]) -> io::Result<Vec<u8>> {
    let length = member.last_chunk::<LENGTH_BYTES>().map_or(u32::MAX, |length| u32::from_le_bytes(*length));
    if length as usize > BLOCK_BYTES {
        return Err(wrong("a part of it says that it unpacks to more than any does"));
    }
    let mut block = vec![0; length as usize];
    let written = decompressor.gzip_decompress(member, &mut block).map_err(io::Error::other)?;
    if written == block.len() { Ok(block) } else { Err(wrong("a part of it unpacks to less than it says")) }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::{super::gzip::ParallelGzip, *};
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const THREADS: NonZero<usize> = NonZero::new(3).unwrap();

    /// Enough for several turns of all threads, and a rest.
    fn plain() -> Vec<u8> {
        let words = (0u32..).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes());
        words.take(9 * BLOCK_BYTES + 17).collect()
    }

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut gzip = ParallelGzip::new(Vec::new(), THREADS).unwrap();
        gzip.write_all(plain).unwrap();
        gzip.finish().unwrap()
    }

    fn unpacked(packed: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        gunzip(Cursor::new(packed), THREADS)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn by_the_book(packed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        MultiGzDecoder::new(packed).read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn what_was_packed_comes_out_here_and_elsewhere() {
        for plain in [vec![], vec![7], vec![0; BLOCK_BYTES], plain()] {
            let packed = packed(&plain);
            assert!(size(&packed[..HEADER_BYTES]).is_ok(), "it says how long it is");
            assert!(by_the_book(&packed) == plain);
            assert!(unpacked(packed).unwrap() == plain);
        }
    }

    #[test]
    fn what_others_packed_comes_out_too() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(b"others").unwrap();
        let once = gzip.finish().unwrap();
        assert_eq!(unpacked(once.clone()).unwrap(), b"others");
        assert_eq!(unpacked([once.clone(), once].concat()).unwrap(), b"othersothers");
        assert!(unpacked(b"no gzip at all, and longer than a header".to_vec()).is_err());
    }

    #[test]
    fn what_is_cut_or_changed_is_an_error_and_no_end() {
        let packed = packed(&plain());
        let first = size(&packed[..HEADER_BYTES]).unwrap();
        for length in
            [HEADER_BYTES - 1, HEADER_BYTES, first - 1, first + 1, first + HEADER_BYTES, packed.len() - 1]
        {
            assert!(unpacked(packed[..length].to_vec()).is_err(), "{length}");
        }
        let changed = |at: usize, to: u8| {
            let mut packed = packed.clone();
            packed[at] ^= to;
            unpacked(packed)
        };
        // In the data, the checksum and the length of the first; in the name and the size of the second.
        for at in [first / 2, first - 8, first - 4, first + FIELD_AT + 2, first + HEADER_BYTES - 2] {
            assert!(changed(at, 1).is_err(), "{at}");
        }
        // What is to unpack to four gigabytes.
        let error = changed(first - 1, 0xff).unwrap_err();
        assert!(error.to_string().contains("more than any"), "{error}");
        // One that is longer than it says is not read as two.
        let rest = [&packed[..], b"and more"].concat();
        assert!(unpacked(rest).is_err());
    }

    #[test]
    fn who_reads_no_further_holds_no_thread_up() {
        let (alive, ended) = sync_channel::<()>(0);
        struct Source(Cursor<Vec<u8>>, #[expect(dead_code, reason = "dropped with the rest")] SyncSender<()>);
        impl Read for Source {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer)
            }
        }
        impl BufRead for Source {
            fn fill_buf(&mut self) -> io::Result<&[u8]> {
                self.0.fill_buf()
            }
            fn consume(&mut self, amount: usize) {
                self.0.consume(amount);
            }
        }
        let mut reader = gunzip(Source(Cursor::new(packed(&plain())), alive), THREADS).unwrap();
        assert_eq!(reader.read(&mut [0; 16]).unwrap(), 16);
        drop(reader);
        // The thread that had the source has let go of it.
        assert!(ended.recv().is_err());
    }
}
