//! Events: what a host hears from an agent, through a queue bounded in bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{error::Said, frame::Frame, store::MirrorLoss, turn_result::TurnResult, wire::SkipReason};

/// What an event costs beside its line, so that countless tiny events are bounded too.
const EVENT_OVERHEAD_BYTES: usize = 256;

/// What a host hears, in the order the agent said it.
#[derive(Debug, Clone)]
pub enum Event {
    /// A frame.
    Frame(Frame),
    /// A turn ended. Several prompts may share it, and none is named when the agent woke by itself.
    Finished {
        /// The prompts it answers that were still open.
        prompts: Vec<Uuid>,
        /// The result.
        result: Box<TurnResult>,
    },
    /// Prompts that end without a result.
    Dropped {
        /// The prompts.
        prompts: Vec<Uuid>,
        /// Why.
        why: DropReason,
    },
    /// Something the agent wrote was passed over.
    Skipped {
        /// Why.
        reason: SkipReason,
        /// Its length; zero for a gap.
        bytes: u64,
    },
    /// The host did not read in time and the queue is full: frames are lost from here on. No frame
    /// follows; results and the exit still do.
    Overrun {
        /// Bytes that lay unread.
        unread_bytes: usize,
    },
    /// Entries of a transcript did not reach the session store.
    MirrorFailed(Box<MirrorLoss>),
    /// The agent is gone. Always the last event.
    Exited(Arc<Said>),
}

/// Why a prompt ends without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// It was taken back before it started.
    Cancelled,
    /// The agent says it is over, and its result was lost or never named it.
    ResultMissing,
}

/// The one reader of an agent's events.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::UnboundedReceiver<(Event, usize)>,
    unread_bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    has_overrun: bool,
}

impl Events {
    /// The next event, or `None` after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        let (event, _receipt) = self.next_with_receipt().await?;
        Some(event)
    }

    /// The same, for who passes the event on: it counts as unread until the receipt is dropped.
    pub(crate) async fn next_with_receipt(&mut self) -> Option<(Event, Receipt)> {
        let (event, bytes) = self.queue.recv().await?;
        self.has_overrun |= matches!(event, Event::Overrun { .. });
        Some((event, Receipt { bytes, unread_bytes: Arc::clone(&self.unread_bytes) }))
    }

    /// Whether [`Event::Overrun`] was read: frames are lost from there on, also those of turns that begin later.
    pub fn has_overrun(&self) -> bool {
        self.has_overrun
    }

    /// How much may lie unread.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// How much lies unread: bytes of lines, with a little for each event.
    pub fn unread_bytes(&self) -> usize {
        self.unread_bytes.load(Ordering::Relaxed)
    }
}

/// The bytes of one event, which count as unread while this lives.
#[derive(Debug)]
pub(crate) struct Receipt {
    bytes: usize,
    unread_bytes: Arc<AtomicUsize>,
}

impl Receipt {
    /// Counts these bytes as unread.
    pub(crate) fn new(bytes: usize, unread_bytes: &Arc<AtomicUsize>) -> Self {
        unread_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, unread_bytes: Arc::clone(unread_bytes) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.unread_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The writing end. Putting an event never waits, because control traffic shares the pipe with it. What was put
/// is read once it is flushed.
#[derive(Debug)]
pub(crate) struct EventQueue {
    queue: mpsc::UnboundedSender<(Event, usize)>,
    unread_bytes: Arc<AtomicUsize>,
    /// What was put since the last flush, so that the reader is woken once for all of it.
    put: Vec<(Event, usize)>,
    bytes_max: usize,
    is_overrun: bool,
}

/// A queue that holds events of `bytes_max` bytes of lines, or a single longer one.
pub(crate) fn queue(bytes_max: usize) -> (EventQueue, Events) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let unread_bytes = Arc::new(AtomicUsize::new(0));
    let events =
        Events { queue: receiver, unread_bytes: Arc::clone(&unread_bytes), bytes_max, has_overrun: false };
    let queue = EventQueue { queue: sender, unread_bytes, put: Vec::new(), bytes_max, is_overrun: false };
    (queue, events)
}

impl EventQueue {
    /// Puts one event that came from a line of `bytes`.
    pub(crate) fn put(&mut self, event: Event, line_bytes: usize) {
        let bytes = line_bytes.saturating_add(EVENT_OVERHEAD_BYTES);
        match event {
            Event::Exited(_) => self.send(event, 0),
            // After an overrun the same room again is kept for what ends prompts.
            Event::Finished { .. } | Event::Dropped { .. } | Event::MirrorFailed(_) if self.is_overrun => {
                if self.has_room(bytes, self.bytes_max.saturating_mul(2)) {
                    self.send(event, bytes);
                }
            }
            Event::Frame(_) | Event::Skipped { .. } if self.is_overrun => {}
            Event::Frame(_)
            | Event::Finished { .. }
            | Event::Dropped { .. }
            | Event::Skipped { .. }
            | Event::MirrorFailed(_)
            | Event::Overrun { .. } => {
                if self.has_room(bytes, self.bytes_max) {
                    self.send(event, bytes);
                } else {
                    self.overrun();
                    if !matches!(event, Event::Frame(_) | Event::Skipped { .. }) {
                        self.put(event, line_bytes);
                    }
                }
            }
        }
    }

    fn has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        let unread = self.unread_bytes.load(Ordering::Relaxed);
        unread == 0 || unread.saturating_add(bytes) <= bytes_max
    }

    fn overrun(&mut self) {
        self.is_overrun = true;
        let unread_bytes = self.unread_bytes.load(Ordering::Relaxed);
        self.send(Event::Overrun { unread_bytes }, 0);
    }

    fn send(&mut self, event: Event, bytes: usize) {
        self.unread_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.put.push((event, bytes));
    }

    /// Hands over what was put. A host that dropped its `Events` does not want to hear; that is no failure.
    pub(crate) fn flush(&mut self) {
        for (event, bytes) in self.put.drain(..) {
            if self.queue.send((event, bytes)).is_err() {
                self.unread_bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
    }
}
