//! What happens in a session right now, for whoever watches: journalled events, and deltas that are never stored.
//!
//! Whoever waits for a turn has a channel beside that, which tells of ends alone: most clients wait, and waking them for
//! each piece of an answer takes the processor from the agent that makes it.

use domain::{Event, EventKind, SessionId, Turn, TurnId, turn::EndedTurn};
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::broadcast;

/// How many signals a watcher may be behind before it is disconnected; it can come back with its last number.
pub const WATCHER_LAG_MAX: usize = 4096;

/// How many ends somebody who waits may be behind before they have to look up what they wait for.
const WAITER_LAG_MAX: usize = 16;

/// Something a watcher is told.
#[derive(Debug, Clone)]
pub enum Signal {
    /// It is in the journal already.
    Event(Arc<Event>),
    /// A piece of an answer in the making; the whole follows as an event.
    Delta(Arc<Delta>),
    /// Another server has written, or may have: the journal knows.
    Elsewhere,
}

/// Something that whoever waits for a turn is told.
#[derive(Debug, Clone)]
pub enum Ending {
    /// A turn as it ended.
    Over { turn: Arc<Turn>, called_tools: bool },
    /// This turn has a result. A queued one that is cancelled has it without having run.
    Result(TurnId),
    /// Another server has written, or may have: the store knows.
    Elsewhere,
}

/// A piece of an answer in the making, as the model's service sent it.
#[derive(Debug)]
pub struct Delta {
    pub turn_id: TurnId,
    pub parent_tool_use_id: Option<String>,
    pub event: Value,
}

/// The channels of each session that somebody watches, or waits for.
#[derive(Debug, Default)]
pub struct Feed {
    channels: Mutex<Channels>,
    /// Set under the lock, so that no channel is opened after the end.
    is_closed: AtomicBool,
    /// Sessions in which something happened since that was last asked.
    changed: Mutex<HashSet<SessionId>>,
}

#[derive(Debug, Default)]
struct Channels {
    watched: BySession<Signal>,
    awaited: BySession<Ending>,
}

/// A channel for each session that has a receiver.
type BySession<T> = HashMap<SessionId, broadcast::Sender<T>>;

impl Feed {
    /// Everything from now on; once the feed is closed, only its end.
    pub fn subscribe(&self, session: SessionId) -> broadcast::Receiver<Signal> {
        self.open(session, WATCHER_LAG_MAX, |channels| &mut channels.watched)
    }

    /// The ends of turns from now on; once the feed is closed, only its end.
    pub fn subscribe_to_ends(&self, session: SessionId) -> broadcast::Receiver<Ending> {
        self.open(session, WAITER_LAG_MAX, |channels| &mut channels.awaited)
    }

    /// Tells of events that were just journalled.
    pub fn publish(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.note_changed(event.session_id);
            let channels = self.channels();
            if let (EventKind::Result, Some(turn)) = (event.kind, event.turn_id) {
                send(&channels.awaited, event.session_id, || Ending::Result(turn));
            }
            send(&channels.watched, event.session_id, || Signal::Event(Arc::new(event)));
        }
    }

    /// Tells of a turn that was just ended.
    pub fn publish_end(&self, ended: EndedTurn, called_tools: bool) {
        let turn = ended.turn;
        send(&self.channels().awaited, turn.session_id, || Ending::Over {
            turn: Arc::new(turn),
            called_tools,
        });
        self.publish(ended.events);
    }

    /// Tells the watchers of a piece of an answer.
    pub fn publish_delta(&self, session: SessionId, delta: Delta) {
        send(&self.channels().watched, session, || Signal::Delta(Arc::new(delta)));
    }

    /// Has those who watch one session or wait for it, or all of them, look at what is on record: another server may
    /// have written.
    pub fn poke(&self, session: Option<SessionId>) {
        let channels = self.channels();
        match session {
            Some(session) => {
                send(&channels.awaited, session, || Ending::Elsewhere);
                send(&channels.watched, session, || Signal::Elsewhere);
            }
            None => {
                for sender in channels.awaited.values() {
                    let _ = sender.send(Ending::Elsewhere);
                }
                for sender in channels.watched.values() {
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

    /// The sessions that somebody watches, or waits for.
    #[must_use]
    pub fn watched(&self) -> HashSet<SessionId> {
        let mut channels = self.channels();
        channels.forget_unheard();
        channels.watched.keys().chain(channels.awaited.keys()).copied().collect()
    }

    /// Ends every watch and every wait: the server is going away.
    pub fn close(&self) {
        let mut channels = self.channels();
        self.is_closed.store(true, Ordering::Relaxed);
        *channels = Channels::default();
    }

    /// Forgets the sessions that nobody watches or waits for any more.
    pub fn forget_unwatched(&self) {
        self.channels().forget_unheard();
    }

    /// How many channels are open.
    pub fn open_channels(&self) -> usize {
        let channels = self.channels();
        channels.watched.len() + channels.awaited.len()
    }

    fn open<T: Clone>(
        &self,
        session: SessionId,
        lag_max: usize,
        of: impl FnOnce(&mut Channels) -> &mut BySession<T>,
    ) -> broadcast::Receiver<T> {
        let mut channels = self.channels();
        if self.is_closed.load(Ordering::Relaxed) {
            return broadcast::channel(1).1;
        }
        channels.forget_unheard();
        of(&mut channels).entry(session).or_insert_with(|| broadcast::channel(lag_max).0).subscribe()
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channels {
    fn forget_unheard(&mut self) {
        self.watched.retain(|_, sender| sender.receiver_count() > 0);
        self.awaited.retain(|_, sender| sender.receiver_count() > 0);
    }
}

fn send<T>(channels: &BySession<T>, session: SessionId, signal: impl FnOnce() -> T) {
    if let Some(sender) = channels.get(&session) {
        // Nobody listening any more is not a failure: it is on record.
        let _ = sender.send(signal());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{EventBody, TurnId};
    use jiff::Timestamp;
    use serde_json::json;

    fn event(session_id: SessionId, turn: TurnId, kind: EventKind) -> Event {
        let body = EventBody::Data(json!({}));
        Event { session_id, seq: 1, turn_id: Some(turn), kind, at: Timestamp::UNIX_EPOCH, body }
    }

    #[test]
    fn who_waits_for_a_turn_is_woken_by_ends_alone() {
        let (feed, session, turn) = (Feed::default(), SessionId::new(), TurnId::new());
        let (mut ends, watch) = (feed.subscribe_to_ends(session), feed.subscribe(session));
        feed.publish_delta(session, Delta { turn_id: turn, parent_tool_use_id: None, event: json!({}) });
        feed.publish([event(session, turn, EventKind::Message)]);
        assert!(ends.is_empty());

        feed.publish([event(session, turn, EventKind::Result)]);
        assert!(matches!(ends.try_recv(), Ok(Ending::Result(ended)) if ended == turn));
        feed.poke(Some(session));
        feed.poke(None);
        assert!(matches!(ends.try_recv(), Ok(Ending::Elsewhere)));
        assert!(matches!(ends.try_recv(), Ok(Ending::Elsewhere)));
        assert_eq!(watch.len(), 5);
    }

    #[test]
    fn a_session_is_looked_after_while_somebody_watches_or_waits() {
        let feed = Feed::default();
        let (watched, awaited) = (SessionId::new(), SessionId::new());
        let (watch, ends) = (feed.subscribe(watched), feed.subscribe_to_ends(awaited));
        assert_eq!(feed.watched(), HashSet::from([watched, awaited]));
        drop(watch);
        assert_eq!(feed.watched(), HashSet::from([awaited]));
        drop(ends);
        assert_eq!(feed.watched(), HashSet::new());
        assert_eq!(feed.open_channels(), 0);
    }
}
