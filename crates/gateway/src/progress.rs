//! How much of an answer has passed, for the case that its usage is never told.
//!
//! Bytes are counted and content is not looked at: what a delta has around its content is taken off by the number of
//! events, and that number is reckoned from the line ends of the first part of a stream.

use memchr::memchr_iter;

/// Bytes whose line ends are counted. Counting costs as much as reading along does, and what follows is much the same.
const SAMPLE_BYTES: u64 = 64 * 1024;
/// Lines of an event: its name, its data, and the empty one.
const LINES_PER_EVENT: u64 = 3;
/// Bytes of an event that are not its content.
const EVENT_BYTES: u64 = 115;
/// Bytes of a whole message that are not its content.
const MESSAGE_BYTES: u64 = 300;
/// Bytes of content that make a token. Text has rather more, so that too much is estimated and not too little.
const BYTES_PER_OUTPUT_TOKEN: u64 = 3;
/// The same for the body of a request, of which much is names and marks.
const BYTES_PER_INPUT_TOKEN: u64 = 4;

/// What has passed of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    bytes: u64,
    sampled_bytes: u64,
    sampled_lines: u64,
    /// Where what is being read begins.
    at: u64,
    /// Where the content begins, after the head of the message.
    content_from: Option<u64>,
    /// Where the thinking began that has not ended.
    thinking_from: Option<u64>,
    /// Of thinking that has ended.
    thinking_bytes: u64,
    is_stream: bool,
}

impl Progress {
    /// Of an answer that came whole.
    pub(crate) fn whole(body: &[u8]) -> Self {
        Self { bytes: (body.len() as u64).saturating_sub(MESSAGE_BYTES), ..Self::default() }
    }

    /// Counts a piece of a stream, and answers where it begins.
    pub(crate) fn pass(&mut self, piece: &[u8]) -> u64 {
        self.is_stream = true;
        if self.sampled_bytes < SAMPLE_BYTES {
            self.sampled_bytes += piece.len() as u64;
            self.sampled_lines += memchr_iter(b'\n', piece).count() as u64;
        }
        let begins = self.bytes;
        self.bytes += piece.len() as u64;
        begins
    }

    /// Notes where what is read next begins.
    pub(crate) fn reach(&mut self, at: u64) {
        self.at = at;
    }

    pub(crate) fn content_begins(&mut self) {
        self.content_from = Some(self.at);
    }

    /// Notes that another block begins, or that the last one is over.
    pub(crate) fn block_begins(&mut self, is_thinking: bool) {
        if let Some(from) = self.thinking_from.take() {
            self.thinking_bytes += self.at.saturating_sub(from);
        }
        self.thinking_from = is_thinking.then_some(self.at);
    }

    /// Output tokens of what has passed, estimated; at least one for anything.
    pub(crate) fn output_tokens(&self) -> u64 {
        let bytes = self.bytes.saturating_sub(self.content_from.unwrap_or(0));
        self.content_of(bytes).div_ceil(BYTES_PER_OUTPUT_TOKEN).max(u64::from(bytes > 0))
    }

    /// Of so many output tokens, those that were thinking, by its share of the bytes.
    pub(crate) fn thinking_of(&self, output_tokens: u64) -> u64 {
        let open = self.thinking_from.map_or(0, |from| self.bytes.saturating_sub(from));
        let thinking = self.thinking_bytes + open;
        let all = self.bytes.saturating_sub(self.content_from.unwrap_or(0)).max(1);
        let share = u128::from(output_tokens) * u128::from(thinking) / u128::from(all);
        u64::try_from(share).unwrap_or(output_tokens).min(output_tokens)
    }

    /// Without what is around it.
    fn content_of(&self, bytes: u64) -> u64 {
        if !self.is_stream {
            return bytes;
        }
        let lines =
            u128::from(bytes) * u128::from(self.sampled_lines) / u128::from(self.sampled_bytes.max(1));
        // The last one may be short: it ends something, and has no content.
        let events = (u64::try_from(lines).unwrap_or(u64::MAX) / LINES_PER_EVENT).saturating_sub(1);
        bytes.saturating_sub(events.saturating_mul(EVENT_BYTES))
    }
}

/// Input tokens of a request with a body of so many bytes, estimated.
pub(crate) fn input_tokens(body_bytes: usize) -> u64 {
    (body_bytes as u64).div_ceil(BYTES_PER_INPUT_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(deltas: usize, text: &str, kind: &str) -> String {
        let event = format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"{kind}_delta\",\"{kind}\":\"{text}\"}}}}\n\n"
        );
        event.repeat(deltas)
    }

    #[test]
    fn what_is_estimated_is_near_what_passed_and_not_below_it() {
        for (deltas, text) in [(1, "Hello there, how are you?"), (20, "some words "), (30_000, "some words ")]
        {
            let mut progress = Progress::default();
            for piece in stream(deltas, text, "text").as_bytes().chunks(1_000) {
                progress.pass(piece);
            }
            let least = (deltas * text.len()) as u64 / 4;
            let estimated = progress.output_tokens();
            assert!(estimated >= least && estimated <= least * 2 + 40, "{estimated} for about {least}");
        }
    }

    #[test]
    fn thinking_has_its_share_of_the_bytes() {
        let mut progress = Progress::default();
        let thinking = stream(30, "hmm hmm ", "thinking");
        progress.block_begins(true);
        progress.pass(thinking.as_bytes());
        assert_eq!(progress.thinking_of(100), 100);
        progress.reach(thinking.len() as u64);
        progress.block_begins(false);
        progress.pass(stream(30, "and so on", "text").as_bytes());
        let share = progress.thinking_of(100);
        assert!((40..=60).contains(&share), "{share}");
    }

    #[test]
    fn nothing_is_nothing_and_anything_is_something() {
        assert_eq!(Progress::default().output_tokens(), 0);
        assert_eq!(Progress::whole(b"{}").output_tokens(), 0);
        assert_eq!(Progress::whole(&[b'x'; 303]).output_tokens(), 1);
        assert_eq!(input_tokens(5), 2);
    }
}
