//! The outside: what belongs to no prompt. It is bounded by itself, so that who never reads it takes no room from turns.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::mpsc;

use crate::{
    event::Receipt,
    message::{Lost, Message},
};

/// The writing end of `Background`.
pub(super) struct Outside {
    messages: mpsc::UnboundedSender<(Message, Receipt)>,
    unread_bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    /// Something was lost since the last message that found room.
    is_full: bool,
}

/// An outside that holds messages of `bytes_max` bytes, or a single longer one.
pub(super) fn outside(bytes_max: usize) -> (Outside, mpsc::UnboundedReceiver<(Message, Receipt)>) {
    let (sender, messages) = mpsc::unbounded_channel();
    (Outside { messages: sender, unread_bytes: Arc::default(), bytes_max, is_full: false }, messages)
}

impl Outside {
    pub(super) fn put(&mut self, message: Message, bytes: usize) {
        // The same room again is kept for results.
        let is_result = matches!(message, Message::Result(_));
        let bytes_max = if is_result { self.bytes_max.saturating_mul(2) } else { self.bytes_max };
        let unread = self.unread_bytes.load(Ordering::Relaxed);
        if unread == 0 || unread.saturating_add(bytes) <= bytes_max {
            self.is_full &= is_result;
            self.send(message, bytes);
        } else if !mem::replace(&mut self.is_full, true) {
            self.send(Message::Lost(Lost::overrun(unread)), 0);
        }
    }

    fn send(&self, message: Message, bytes: usize) {
        // Nobody may be interested. What is not sent takes its receipt along.
        let _ = self.messages.send((message, Receipt::new(bytes, &self.unread_bytes)));
    }
}
