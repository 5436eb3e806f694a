//! Stderr of an agent: always drained, so that it cannot block, and its end kept.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes taken at a time.
const READ_BYTES: usize = 8 << 10;

/// Hears what an agent writes on stderr, as it comes.
#[derive(Clone)]
pub struct StderrCallback(Arc<dyn Fn(&str) + Send + Sync>);

impl StderrCallback {
    /// Wraps a closure. It gets pieces of text, not whole lines, and should not block.
    pub fn new(callback: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    fn call(&self, text: &str) {
        // The pipe has to be drained whatever the host's code does.
        if catch_unwind(AssertUnwindSafe(|| (self.0)(text))).is_err() {
            tracing::warn!("the host's callback for stderr broke down");
        }
    }
}

impl fmt::Debug for StderrCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StderrCallback")
    }
}

/// Gives whole characters to the callback, and keeps the beginning of one that is cut.
struct Told {
    callback: Option<StderrCallback>,
    rest: Vec<u8>,
}

impl Told {
    fn push(&mut self, chunk: &[u8]) {
        let Some(callback) = &self.callback else {
            return;
        };
        self.rest.extend_from_slice(chunk);
        let whole = whole_characters(&self.rest);
        if whole > 0 {
            let text: Vec<u8> = self.rest.drain(..whole).collect();
            callback.call(&String::from_utf8_lossy(&text));
        }
    }

    fn end(&self) {
        if let Some(callback) = self.callback.as_ref().filter(|_| !self.rest.is_empty()) {
            callback.call(&String::from_utf8_lossy(&self.rest));
        }
    }
}

/// How many bytes are whole characters; bytes that can become none count as whole.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        // An invalid byte in the middle: only an unfinished character at the very end has to wait.
        Err(error) => {
            let after = error.valid_up_to() + error.error_len().unwrap_or(1);
            after + whole_characters(&bytes[after..])
        }
        Ok(_) => bytes.len(),
    }
}

/// The last bytes of a stream.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    bytes: Arc<Mutex<VecDeque<u8>>>,
    bytes_max: usize,
    callback: Option<StderrCallback>,
}

impl Tail {
    pub(super) fn new(bytes_max: usize, callback: Option<StderrCallback>) -> Self {
        Self { bytes: Arc::default(), bytes_max, callback }
    }

    /// Reads until the stream ends.
    pub(super) async fn drain(self, mut stream: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; READ_BYTES];
        let mut told = Told { callback: self.callback.clone(), rest: Vec::new() };
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            self.push(&chunk[..read]);
            told.push(&chunk[..read]);
        }
        told.end();
    }

    /// What is kept, with what was cut in the middle of a character replaced.
    pub(super) fn text(&self) -> String {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(bytes.make_contiguous()).into_owned()
    }

    fn push(&self, chunk: &[u8]) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend(chunk);
        let surplus = bytes.len().saturating_sub(self.bytes_max);
        bytes.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_is_what_is_kept() {
        let tail = Tail::new(5, None);
        tail.clone().drain(&b"0123456789"[..]).await;
        assert_eq!(tail.text(), "56789");
    }

    #[test]
    fn the_callback_hears_whole_characters_and_may_panic() {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let callback = StderrCallback::new({
            let heard = Arc::clone(&heard);
            move |text| {
                heard.lock().unwrap().push(text.to_owned());
                assert!(text != "boom", "on purpose");
            }
        });
        let mut told = Told { callback: Some(callback), rest: Vec::new() };
        for chunk in [&b"a\xc3"[..], b"\xa9b", b"boom", b"\xffc\xe2\x82"] {
            told.push(chunk);
        }
        told.end();
        assert_eq!(*heard.lock().unwrap(), ["a", "\u{e9}b", "boom", "\u{fffd}c", "\u{fffd}"]);
    }
}
