//! One cursor over a session's journal, so that reconnecting is the same as connecting.

use crate::{
    Error, Result,
    feed::{Delta, Feed, Signal},
};
use domain::{Event, SessionId, ports::Journal};
use monitoring::{LevelGuard, MetricsCollector};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Events read from the journal at a time.
const READ_EVENTS_MAX: u32 = 64;

/// What a watcher sees next.
#[derive(Debug, Clone)]
pub enum Sight {
    Event(Arc<Event>),
    Delta(Arc<Delta>),
}

/// Follows a session from a given event on: first what the journal has, then what happens.
pub struct Watch {
    journal: Arc<dyn Journal>,
    session: SessionId,
    seen_seq: u64,
    backlog: VecDeque<Event>,
    /// Whether everything up to the subscription was read from the journal.
    caught_up: bool,
    /// Whether another server may have written. Looked up after all that was signalled here, so that what is journalled
    /// here is not shown before the deltas that led to it.
    elsewhere: bool,
    live: Receiver<Signal>,
    metrics: Arc<MetricsCollector>,
    _counted: LevelGuard,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("session", &self.session)
            .field("seen_seq", &self.seen_seq)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// Sees every event after `seq`. It subscribes first and reads then, so that nothing falls between.
    #[must_use]
    pub fn after(
        journal: Arc<dyn Journal>,
        feed: &Feed,
        session: SessionId,
        seq: u64,
        metrics: Arc<MetricsCollector>,
    ) -> Self {
        let live = feed.subscribe(session);
        Self {
            journal,
            session,
            seen_seq: seq,
            backlog: VecDeque::new(),
            caught_up: false,
            elsewhere: false,
            live,
            _counted: metrics.watching(),
            metrics,
        }
    }

    /// Passes over the events up to `seq`, the last one before a turn that began after this watch was made. Everything
    /// of that turn is signalled to this watch, so the journal need not be read, which would show events before the
    /// deltas that led to them.
    #[must_use]
    pub fn passing_over(mut self, seq: u64) -> Self {
        self.seen_seq = self.seen_seq.max(seq);
        self.caught_up = true;
        self
    }

    /// The next thing to see; waits for it. `None` when this watcher was too slow: it must come again with the
    /// number of its last event. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<Sight>> {
        loop {
            if let Some(event) = self.backlog.pop_front() {
                self.seen_seq = event.seq;
                return Ok(Some(Sight::Event(Arc::new(event))));
            }
            if !self.caught_up {
                let events = self.journal.read_after(self.session, self.seen_seq, READ_EVENTS_MAX).await?;
                self.caught_up = events.is_empty();
                self.backlog.extend(events);
                continue;
            }
            if self.elsewhere && self.live.is_empty() {
                self.elsewhere = false;
                self.caught_up = false;
                continue;
            }
            match self.live.recv().await {
                Ok(Signal::Event(event)) if event.seq <= self.seen_seq => {}
                Ok(Signal::Event(event)) if event.seq == self.seen_seq + 1 => {
                    self.seen_seq = event.seq;
                    return Ok(Some(Sight::Event(event)));
                }
                // Two writers' signals crossed, or one was journalled elsewhere: the journal has the right order.
                Ok(Signal::Event(_)) => self.caught_up = false,
                Ok(Signal::Elsewhere) => self.elsewhere = true,
                Ok(Signal::Delta(delta)) => return Ok(Some(Sight::Delta(delta))),
                Err(RecvError::Lagged(_)) => {
                    self.metrics.record_stream_disconnect();
                    return Ok(None);
                }
                Err(RecvError::Closed) => return Err(Error::ShuttingDown),
            }
        }
    }
}
