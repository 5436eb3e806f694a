//! What happens in a session right now, for whoever watches: journalled events, and deltas that are never stored.

use domain::{Event, SessionId, Turn, TurnId, turn::EndedTurn};
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::broadcast;

/// How many signals a watcher may be behind before it is disconnected; it can come back with its last number.
pub const WATCHER_LAG_MAX: usize = 4096;

/// Something a watcher is told.
#[derive(Debug, Clone)]
pub enum Signal {
    /// It is in the journal already.
    Event(Arc<Event>),
    /// A piece of an answer in the making; the whole follows as an event.
    Delta(Arc<Delta>),
    /// Another server has written, or may have: the journal knows.
    Elsewhere,
    /// A turn as it ended, for those who wait for it; its `result` event follows.
    Over { turn: Arc<Turn>, called_tools: bool },
}

/// A piece of an answer in the making, as the model's service sent it.
#[derive(Debug)]
pub struct Delta {
    pub turn_id: TurnId,
    pub parent_tool_use_id: Option<String>,
    pub event: Value,
}

/// One channel for each session that somebody watches.
#[derive(Debug, Default)]
pub struct Feed {
    channels: Mutex<HashMap<SessionId, broadcast::Sender<Signal>>>,
    /// Set under the lock, so that no channel is opened after the end.
    is_closed: AtomicBool,
    /// Sessions in which something happened since that was last asked.
    changed: Mutex<HashSet<SessionId>>,
}

impl Feed {
    /// Everything from now on; once the feed is closed, only its end.
    pub fn subscribe(&self, session: SessionId) -> broadcast::Receiver<Signal> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_closed.load(Ordering::Relaxed) {
            return broadcast::channel(1).1;
        }
        channels.retain(|_, sender| sender.receiver_count() > 0);
        channels.entry(session).or_insert_with(|| broadcast::channel(WATCHER_LAG_MAX).0).subscribe()
    }

    /// Tells the watchers of events that were just journalled.
    pub fn publish(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.note_changed(event.session_id);
            self.send(event.session_id, || Signal::Event(Arc::new(event)));
        }
    }

    /// Tells of a turn that was just ended.
    pub fn publish_end(&self, ended: EndedTurn, called_tools: bool) {
        let turn = ended.turn;
        self.send(turn.session_id, || Signal::Over { turn: Arc::new(turn), called_tools });
        self.publish(ended.events);
    }

    /// Tells the watchers of a piece of an answer.
    pub fn publish_delta(&self, session: SessionId, delta: Delta) {
        self.send(session, || Signal::Delta(Arc::new(delta)));
    }

    /// Has the watchers of one session, or all of them, look at the journal: another server may have written.
    pub fn poke(&self, session: Option<SessionId>) {
        match session {
            Some(session) => self.send(session, || Signal::Elsewhere),
            None => {
                let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
                for sender in channels.values() {
                    let _ = sender.send(Signal::Elsewhere);
                }
            }
        }
    }

    /// The sessions in which something happened since this was last asked.
    pub fn take_changed(&self) -> Vec<SessionId> {
        let changed = std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner));
        changed.into_iter().collect()
    }

    /// The session's last change is on record elsewhere.
    pub fn forget_changed(&self, session: SessionId) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }

    /// Notes that something happened in the session.
    pub fn note_changed(&self, session: SessionId) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(session);
    }

    /// The sessions that somebody watches.
    #[must_use]
    pub fn watched(&self) -> Vec<SessionId> {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = channels.iter().filter(|(_, sender)| sender.receiver_count() > 0);
        watched.map(|(session, _)| *session).collect()
    }

    /// Ends every watch: the server is going away.
    pub fn close(&self) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_closed.store(true, Ordering::Relaxed);
        channels.clear();
    }

    /// Forgets the sessions that nobody watches any more.
    pub fn forget_unwatched(&self) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|_, sender| sender.receiver_count() > 0);
    }

    /// How many sessions something is kept for.
    pub fn channels(&self) -> usize {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many watch a session.
    #[must_use]
    pub fn watchers(&self, session: SessionId) -> usize {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.get(&session).map_or(0, broadcast::Sender::receiver_count)
    }

    fn send(&self, session: SessionId, signal: impl FnOnce() -> Signal) {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = channels.get(&session) {
            // Nobody listening any more is not a failure: the journal has it.
            let _ = sender.send(signal());
        }
    }
}
