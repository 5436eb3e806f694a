//! Who is next: the queue in front of the slots for agents, and the one place where waiting turns begin.
//!
//! A turn waits in the store, so the queue outlives the server and is seen by all. What is kept here is only what makes
//! looking at it cheap. Whoever queues a turn or gives a slot back asks for a look, so no wake-up is lost: the turn is
//! in the store before the look, or the look that follows it sees it.

mod line;
mod pace;

use crate::{
    Error, Result, SessionManager, StartedTurn, WhenBusy,
    live::{Pool, Subject, Taken},
};
use domain::{
    Entry, SessionId, Turn, TurnId, TurnStatus,
    journal::data,
    ports::StoreError,
    turn::{Begin, Enqueued, NewTurn, QueuePlace, WaitingTurn},
};
use jiff::SignedDuration;
use line::line_up;
use pace::Pace;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long a look waits after a turn for which nobody is known to wait. Meanwhile its client hears of the end, from whom
/// the look would take the processor.
const LOOK_DELAY: Duration = Duration::from_millis(2);

/// What is known here of the queues in the store.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Held by whoever looks at the queues and acts on what it sees.
    line: tokio::sync::Mutex<Told>,
    /// Somebody is about to look.
    is_asked: AtomicBool,
    /// The pools for which somebody waited at the last look.
    crowded: Mutex<HashSet<Pool>>,
    pace: Pace,
}

/// The position that each waiting turn was last told.
type Told = HashMap<TurnId, u64>;

/// Whether there is room for one more in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It has to be seen.
    Ask,
    /// It was seen, and something was done since that is not to be undone.
    Granted,
}

/// What came of letting a turn begin.
enum LetIn {
    /// It runs, or waits no longer.
    Gone,
    /// Its session's agent is busy with something else, and gives its seat back later.
    Later,
    /// No slot is free.
    Full,
}

impl Admission {
    /// Whether somebody waits for a slot of this kind, as far as is known. It is a hint: the store has the last word.
    pub(crate) fn is_crowded(&self, pool: Pool) -> bool {
        self.crowded.lock().unwrap_or_else(PoisonError::into_inner).contains(&pool)
    }

    fn note_crowd(&self, pool: Pool, somebody_waits: bool) {
        let mut crowded = self.crowded.lock().unwrap_or_else(PoisonError::into_inner);
        if somebody_waits {
            crowded.insert(pool)
        } else {
            crowded.remove(&pool)
        };
    }

    /// Notes how long a turn ran.
    pub(crate) fn note_pace(&self, pool: Pool, took: Duration) {
        self.pace.note(pool, took);
    }
}

impl SessionManager {
    /// Lets those begin that wait and can, fairly; soon, and once for everybody who asks at the same time.
    pub(crate) fn admit_later(&self) {
        if self.inner.admission.is_asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        self.spawn(async move {
            if let Err(error) = this.admit().await {
                tracing::debug!(%error, "queued turns have to wait for the next look");
            }
        });
    }

    /// The same after a turn: a little later, unless somebody is known to wait for its slot.
    pub(crate) async fn admit_after_turn(&self, pool: Pool) {
        if !self.inner.admission.is_crowded(pool) {
            tokio::time::sleep(LOOK_DELAY).await;
        }
        self.admit_later();
    }

    async fn admit(&self) -> Result<()> {
        let mut told = self.inner.admission.line.lock().await;
        // Before the look: whoever asks from now on may have something that it does not see.
        self.inner.admission.is_asked.store(false, Ordering::Release);
        self.admit_work()?;
        let waiting = self.inner.stores.turns.waiting(self.server()).await?;
        let still: HashSet<TurnId> = waiting.iter().map(|turn| turn.id).collect();
        told.retain(|id, _| still.contains(id));
        for pool in Pool::ALL {
            let mut left = vec![];
            let mut is_full = false;
            for turn in line_up(of(pool, &waiting), self.inner.live.running(pool)) {
                let let_in = if is_full { LetIn::Full } else { self.let_in(&turn).await? };
                match let_in {
                    LetIn::Gone => continue,
                    LetIn::Later => {}
                    LetIn::Full => is_full = true,
                }
                left.push(turn);
            }
            self.inner.admission.note_crowd(pool, !left.is_empty());
            self.note_queue(pool, left.len(), left.iter().map(|turn| turn.since).min());
            self.tell_positions(&mut told, &left).await?;
        }
        Ok(())
    }

    async fn let_in(&self, turn: &WaitingTurn) -> Result<LetIn> {
        let WaitingTurn { session_id, user_id, mode, generation, .. } = *turn;
        let subject = Subject { session_id, user_id, mode, generation };
        let hold = match self.take_seat(subject)? {
            Taken::Held(hold) => *hold,
            Taken::Busy | Taken::Waking => return Ok(LetIn::Later),
            Taken::Full => return Ok(LetIn::Full),
        };
        let now = self.inner.clock.now();
        let turns = &self.inner.stores.turns;
        let begin = turns.begin_queued(session_id, hold.first_status(), now, self.server()).await;
        if let Ok(Some(Begin::Begun(begun))) = begin {
            self.spawn_run(hold, *begun);
            return Ok(LetIn::Gone);
        }
        self.leave_seat(hold);
        match begin {
            // Paused, ended, held or begun elsewhere since it was looked up.
            Ok(_) => {}
            Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
            // One that cannot begin must not hold up the others.
            Err(error) => {
                tracing::error!(turn_id = %turn.id, error = &error as &dyn std::error::Error,
                    "a queued turn could not begin");
            }
        }
        Ok(LetIn::Gone)
    }

    /// Tells those that wait where they are, when it has changed by half.
    async fn tell_positions(&self, told: &mut Told, left: &[WaitingTurn]) -> Result<()> {
        for (position, turn) in (1..).zip(left) {
            let is_known = told.get(&turn.id).is_some_and(|told| position * 2 > *told && position < told * 2);
            if is_known {
                continue;
            }
            let notice = Entry::Notice(data::turn_queued(position));
            let (id, now) = (turn.session_id, self.inner.clock.now());
            let journal = &self.inner.stores.journal;
            match journal.record(id, turn.generation, Some(turn.id), vec![notice], now).await {
                Ok(events) => self.inner.feed.publish(events),
                // Another server has taken it over, and tells it from now on.
                Err(StoreError::Fenced) => {}
                Err(error) => return Err(error.into()),
            }
            told.insert(turn.id, position);
        }
        Ok(())
    }

    /// Queues a turn that cannot begin now, and lets it begin as soon as it can.
    pub(crate) async fn wait_in_line(
        &self,
        subject: Subject,
        turn: &NewTurn,
        when_busy: WhenBusy,
        room: Room,
    ) -> Result<StartedTurn> {
        let limits = &self.inner.settings.limits;
        let (session_id, pool) = (subject.session_id, Pool::from(subject.mode));
        let mut told = self.inner.admission.line.lock().await;
        let runs = self.inner.live.runs(session_id);
        let (ahead, is_next) = if runs { (0, false) } else { self.ahead(subject, turn, room).await? };
        // Whoever waits for a slot alone waits behind nobody of its session.
        let waiting_max = limits.queue_max.saturating_add(u32::from(!runs));
        let place = match when_busy {
            WhenBusy::Reject => QueuePlace::Alone,
            WhenBusy::Queue => QueuePlace::Last { waiting_max },
            // The one it interrupts makes room for it.
            WhenBusy::Interrupt => QueuePlace::First { waiting_max: limits.queue_max.saturating_add(1) },
        };
        let (event, position, running) = match self.inner.stores.turns.enqueue(turn, place, ahead).await? {
            Enqueued::Queued { event, position, running } => (event, position, running),
            Enqueued::Busy(status) => return Err(Error::Busy(status)),
            Enqueued::Refused(status) => return Err(Error::WrongState(status)),
            Enqueued::Full => {
                let retry_after_seconds = self.inner.admission.pace.seconds(pool, 1);
                return Err(Error::QueueFull { limit: limits.queue_max, retry_after_seconds });
            }
        };
        if is_next {
            told.insert(turn.id, position);
        }
        // Before it can begin: the trace of the turn is linked to that of who asked for it.
        monitoring::spans::asked(turn.id);
        drop(told);
        let after_seq = event.seq - 1;
        self.inner.feed.publish([event]);
        if when_busy == WhenBusy::Interrupt
            && let Some(running) = running
        {
            self.interrupt_turn(session_id, running).await?;
        }
        self.admit_later();
        Ok(StartedTurn { session_id, turn_id: turn.id, queue_position: Some(position), after_seq })
    }

    /// How many turns of other sessions a turn of this session lets go first, and whether it is the first of its own.
    async fn ahead(&self, subject: Subject, turn: &NewTurn, room: Room) -> Result<(u64, bool)> {
        let pool = Pool::from(subject.mode);
        let mut waiting = of(pool, &self.inner.stores.turns.waiting(self.server()).await?);
        let is_next = waiting.iter().all(|waiting| waiting.session_id != subject.session_id);
        if is_next {
            if room == Room::Ask {
                self.has_room(pool, waiting.len())?;
            }
            let Subject { session_id, user_id, mode, generation } = subject;
            let (id, since) = (turn.id, turn.at);
            waiting.push(WaitingTurn { id, session_id, user_id, mode, generation, since });
        }
        let line = line_up(waiting, self.inner.live.running(pool));
        Ok((place_of(subject.session_id, &line).unwrap_or_default(), is_next))
    }

    /// Makes sure that one more may wait for a slot of this kind, or need not.
    pub(crate) async fn room_in_line(&self, pool: Pool) -> Result<Room> {
        let waiting = self.inner.stores.turns.waiting(self.server()).await?;
        self.has_room(pool, of(pool, &waiting).len())
    }

    fn has_room(&self, pool: Pool, waiting: usize) -> Result<Room> {
        let limit = self.inner.settings.limits.slot_queue_max;
        let slots = self.inner.live.limit(pool);
        let at_work: usize = self.inner.live.running(pool).values().sum();
        // As many as there are free slots only seem to wait.
        if waiting < limit as usize + slots.saturating_sub(at_work) {
            return Ok(Room::Granted);
        }
        Err(Error::NoSlot { limit, retry_after_seconds: self.inner.admission.pace.seconds(pool, slots) })
    }

    /// How many sessions wait here for an agent, and how long the one that has waited longest.
    pub async fn waiting_sessions(&self) -> Result<(usize, Option<SignedDuration>)> {
        let waiting = self.inner.stores.turns.waiting(self.server()).await?;
        let oldest = waiting.iter().map(|turn| turn.since).min();
        Ok((waiting.len(), oldest.map(|since| self.inner.clock.now().duration_since(since))))
    }

    /// Where a queued turn is: 1 when it is the next to begin.
    pub async fn queue_position(&self, turn: &Turn) -> Result<Option<u64>> {
        if turn.status != TurnStatus::Queued {
            return Ok(None);
        }
        let queue = self.inner.stores.turns.queue(turn.session_id).await?;
        let Some(before) = queue.iter().position(|id| *id == turn.id) else { return Ok(None) };
        let waiting = self.inner.stores.turns.waiting(self.server()).await?;
        let own = waiting.iter().find(|waiting| waiting.session_id == turn.session_id);
        let ahead = own.and_then(|own| {
            let pool = Pool::from(own.mode);
            place_of(own.session_id, &line_up(of(pool, &waiting), self.inner.live.running(pool)))
        });
        Ok(Some(ahead.unwrap_or_default() + before as u64 + 1))
    }

    /// Cancels a turn that is still queued.
    pub async fn cancel_turn(&self, caller: &domain::Caller, id: SessionId, turn_id: TurnId) -> Result<()> {
        self.load(caller.scope(), id).await?;
        let now = self.inner.clock.now();
        let cancelled = self.inner.stores.turns.cancel_queued(id, Some(turn_id), now).await?;
        if cancelled.is_empty() {
            let turn = self.inner.stores.turns.get(id, turn_id).await?.ok_or(Error::NotFound("turn"))?;
            return Err(Error::NotQueued(turn.status));
        }
        self.inner.feed.publish(cancelled);
        // Those behind it have moved up.
        self.admit_later();
        Ok(())
    }
}

fn of(pool: Pool, waiting: &[WaitingTurn]) -> Vec<WaitingTurn> {
    waiting.iter().filter(|turn| Pool::from(turn.mode) == pool).copied().collect()
}

fn place_of(session: SessionId, line: &[WaitingTurn]) -> Option<u64> {
    line.iter().position(|turn| turn.session_id == session).map(|place| place as u64)
}
