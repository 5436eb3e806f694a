//! Reads the usage off a stream of server-sent events while it passes, without parsing its content.

mod markers;

use memchr::{memchr, memrchr};

use crate::{
    limits::USAGE_LINE_BYTES_MAX,
    progress::Progress,
    reading::{BlockStart, MessageDelta, MessageStart, Reading},
};
use markers::Markers;

/// The field that names an event.
const NAME: &[u8] = b"event:";

/// The events that say something about usage or about what is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Start,
    Block,
    Delta,
    Stop,
    Error,
    Other,
}

impl Event {
    fn named(name: &[u8]) -> Self {
        match name {
            b"message_start" => Self::Start,
            b"content_block_start" => Self::Block,
            b"message_delta" => Self::Delta,
            b"message_stop" => Self::Stop,
            b"error" => Self::Error,
            _ => Self::Other,
        }
    }

    /// Whether its data is read.
    fn is_read(self) -> bool {
        matches!(self, Self::Start | Self::Block | Self::Delta)
    }
}

/// An incremental reader: give it the bytes as they come, in pieces of any size.
#[derive(Debug)]
pub struct Scanner {
    reading: Reading,
    progress: Progress,
    event: Event,
    /// Data of the present event, if it is one that is read.
    data: Vec<u8>,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// The rest of the present line is passed over: it is of an event that says nothing, or too long to be about usage.
    skips_line: bool,
    is_over: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            reading: Reading::default(),
            progress: Progress::default(),
            event: Event::Other,
            data: Vec::new(),
            line: Vec::new(),
            skips_line: false,
            is_over: false,
        }
    }
}

impl Scanner {
    /// What has been read so far.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// How much has passed so far.
    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether the event that ends the answer, well or with an error, has been seen whole.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Reads the next piece of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut markers = Markers::of(bytes);
        let mut rest = 0;
        let begun_at = self.progress.pass(bytes);
        while rest < bytes.len() {
            if self.waits_for_name() && self.line.is_empty() && !self.skips_line {
                let next = markers.next(rest).unwrap_or(bytes.len());
                rest = memrchr(b'\n', &bytes[rest..next]).map_or(rest, |end| rest + end + 1);
            }
            self.progress.reach(begun_at + rest as u64);
            rest += self.take_piece(&bytes[rest..]);
        }
    }

    /// Whether nothing matters before the next name of an event that says something: nearly always.
    fn waits_for_name(&self) -> bool {
        self.event == Event::Other && self.data.is_empty()
    }

    /// Takes up to the end of the present line, and answers how many bytes that were.
    fn take_piece(&mut self, bytes: &[u8]) -> usize {
        let Some(end) = memchr(b'\n', bytes) else {
            self.begin_line(bytes);
            return bytes.len();
        };
        let head = &bytes[..end];
        if self.skips_line {
            self.skips_line = false;
        } else if self.line.is_empty() {
            self.take_line(head);
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(head);
            self.take_line(&line);
            line.clear();
            self.line = line;
        }
        end + 1
    }

    fn begin_line(&mut self, bytes: &[u8]) {
        if self.skips_line {
            return;
        }
        let may_name = self.line.iter().chain(bytes).zip(NAME).all(|(byte, name)| byte == name);
        if self.waits_for_name() && !may_name {
            self.line.clear();
            self.skips_line = true;
            return;
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() > USAGE_LINE_BYTES_MAX {
            self.line = Vec::new();
            self.skips_line = true;
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            self.take_event();
        } else if let Some(name) = line.strip_prefix(NAME) {
            self.event = Event::named(name.trim_ascii());
        } else if self.event.is_read()
            && let Some(data) = line.strip_prefix(b"data:")
        {
            self.data.extend_from_slice(data);
        }
    }

    fn take_event(&mut self) {
        let event = std::mem::replace(&mut self.event, Event::Other);
        // Data that makes no sense leaves the reading as it is: the answer passes all the same.
        match event {
            Event::Start => {
                if let Ok(start) = serde_json::from_slice::<MessageStart>(&self.data) {
                    self.reading.start(start.message);
                }
                self.progress.content_begins();
            }
            Event::Block => {
                if let Ok(start) = serde_json::from_slice::<BlockStart>(&self.data) {
                    self.progress.block_begins(start.content_block.kind.is_thinking());
                    self.reading.block(start.content_block);
                }
            }
            Event::Delta => {
                self.progress.block_begins(false);
                if let Ok(delta) = serde_json::from_slice::<MessageDelta>(&self.data) {
                    self.reading.update(delta);
                }
            }
            Event::Stop => {
                // Without its beginning, what it used is not known.
                self.reading.is_complete = self.reading.model.is_some();
                self.is_over = true;
            }
            Event::Error => {
                self.progress.block_begins(false);
                self.is_over = true;
            }
            Event::Other => {}
        }
        self.data.clear();
    }
}

#[cfg(test)]
mod tests;
