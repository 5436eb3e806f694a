//! Framing: bytes from the agent's stdout become lines, whatever their size and however they arrive.

use memchr::memchr;

/// Above this the buffer of a finished line is given back rather than kept for the next one.
const BUFFER_KEPT_BYTES: usize = 1 << 20;
/// Of a line that is too long so much is kept as says what it is and whose.
pub const HEAD_BYTES: usize = 512;

/// Splits a byte stream on `\n` only, because raw U+2028, U+2029 and U+0085 occur inside JSON strings.
#[derive(Debug)]
pub struct LineSplitter {
    line_bytes_max: usize,
    /// What has come of a line; its head, of one that is too long.
    buffer: Vec<u8>,
    /// Bytes already thrown away of a line that is too long, while its end has not come.
    skipping: Option<u64>,
}

/// What the splitter found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole line without its `\n`.
    Line(&'a [u8]),
    /// A line longer than the bound; all but its head is gone, the next line is intact.
    Oversized {
        /// Its first bytes, at most [`HEAD_BYTES`].
        head: &'a [u8],
        /// Length of the line without its `\n`.
        bytes: u64,
    },
}

impl LineSplitter {
    /// A splitter that skips lines longer than `line_bytes_max`.
    pub fn new(line_bytes_max: usize) -> Self {
        Self { line_bytes_max, buffer: Vec::new(), skipping: None }
    }

    /// Takes the next chunk and hands each line it completes to `each`.
    pub fn push(&mut self, mut chunk: &[u8], mut each: impl FnMut(Piece<'_>)) {
        while let Some(end) = memchr(b'\n', chunk) {
            self.complete(&chunk[..end], &mut each);
            chunk = &chunk[end + 1..];
        }
        self.keep(chunk);
    }

    /// Hands over what is left when the stream ends without a final `\n`.
    pub fn end(&mut self, mut each: impl FnMut(Piece<'_>)) {
        if self.skipping.is_some() || !self.buffer.is_empty() {
            self.complete(&[], &mut each);
        }
    }

    fn complete(&mut self, tail: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        if let Some(skipped) = self.skipping.take() {
            self.behead(tail);
            each(Piece::Oversized { head: &self.buffer, bytes: skipped + tail.len() as u64 });
            self.buffer.clear();
            return;
        }
        let bytes = self.buffer.len() + tail.len();
        if bytes > self.line_bytes_max {
            self.behead(tail);
            each(Piece::Oversized { head: &self.buffer, bytes: bytes as u64 });
            self.buffer.clear();
        } else if self.buffer.is_empty() {
            each(Piece::Line(tail));
        } else {
            self.buffer.extend_from_slice(tail);
            each(Piece::Line(&self.buffer));
            self.buffer.clear();
            if self.buffer.capacity() > BUFFER_KEPT_BYTES {
                self.buffer = Vec::new();
            }
        }
    }

    fn keep(&mut self, rest: &[u8]) {
        if let Some(skipped) = &mut self.skipping {
            *skipped += rest.len() as u64;
            self.behead(rest);
        } else if self.buffer.len() + rest.len() > self.line_bytes_max {
            self.skipping = Some((self.buffer.len() + rest.len()) as u64);
            self.behead(rest);
        } else {
            self.buffer.extend_from_slice(rest);
        }
    }

    /// Leaves the head of a line that is too long, of which this comes next.
    fn behead(&mut self, rest: &[u8]) {
        let missing = HEAD_BYTES.saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(&rest[..rest.len().min(missing)]);
        self.buffer.truncate(HEAD_BYTES);
        self.buffer.shrink_to_fit();
    }
}
