//! Reads the usage off a stream of server-sent events while it passes, without parsing its content.

use memchr::memchr;

use crate::{
    limits::USAGE_LINE_BYTES_MAX,
    reading::{MessageDelta, MessageStart, Reading},
};

/// The events that say something about usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Start,
    Delta,
    Stop,
    Error,
    Other,
}

impl Event {
    fn named(name: &[u8]) -> Self {
        match name {
            b"message_start" => Self::Start,
            b"message_delta" => Self::Delta,
            b"message_stop" => Self::Stop,
            b"error" => Self::Error,
            _ => Self::Other,
        }
    }

    fn carries_usage(self) -> bool {
        matches!(self, Self::Start | Self::Delta)
    }
}

/// An incremental reader: give it the bytes as they come, in pieces of any size.
#[derive(Debug)]
pub struct Scanner {
    reading: Reading,
    event: Event,
    /// Data of the present event, if it is one that carries usage.
    data: Vec<u8>,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// The rest of the present line is passed over: it is too long to be about usage.
    skips_line: bool,
    is_over: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            reading: Reading::default(),
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

    /// Whether the event that ends the answer, well or with an error, has been seen whole.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Reads the next piece of the stream.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (head, rest) = (&bytes[..end], &bytes[end + 1..]);
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
            bytes = rest;
        }
        if self.skips_line {
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
        } else if let Some(name) = line.strip_prefix(b"event:") {
            self.event = Event::named(name.trim_ascii());
        } else if self.event.carries_usage()
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
            }
            Event::Delta => {
                if let Ok(delta) = serde_json::from_slice::<MessageDelta>(&self.data) {
                    self.reading.update(delta);
                }
            }
            Event::Stop => {
                // Without its beginning, what it used is not known.
                self.reading.is_complete = self.reading.model.is_some();
                self.is_over = true;
            }
            Event::Error => self.is_over = true,
            Event::Other => {}
        }
        self.data.clear();
    }
}

#[cfg(test)]
mod tests;
