//! Which sessions have an agent process now, who holds it, and how many there may be.

mod closing;
mod seat;

use self::seat::{Seat, SeatState, Task, remove_idle};
use crate::{disk::LastLook, governance::Governed, mcp_servers::Registered};
use domain::{Generation, Session, SessionId, SessionMode, SessionSpec, SessionStatus, TurnId, UserId};
use sdk_runtime::{Agent, Events};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// A running agent and the stream of what it says. Whoever owns this value alone talks to the agent.
#[derive(Debug)]
pub struct LiveAgent {
    pub agent: Agent,
    pub events: Events,
    /// The agent's own credential at the gateway.
    pub token: String,
    pub subject: Subject,
    /// What it was started with.
    pub spec: Box<SessionSpec>,
    pub governed: Governed,
    pub last_look: Arc<LastLook>,
    /// Has its MCP servers asked about while it lives.
    #[expect(dead_code, reason = "it is held for its end")]
    pub mcp: Option<Registered>,
}

impl LiveAgent {
    /// Whether the session is not any more what this agent was started for. That it has left the plan mode by itself
    /// is no difference.
    pub fn is_outdated(&self, session: &Session) -> bool {
        let is_as_started = if self.governed.left_plan_mode.load(Ordering::Relaxed) {
            let permission_mode = session.spec.permission_mode.clone();
            SessionSpec { permission_mode, ..*self.spec.clone() } == session.spec
        } else {
            *self.spec == session.spec
        };
        self.subject != Subject::from(session) || !is_as_started
    }
}

/// What of its session an agent is bound to for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    pub session_id: SessionId,
    pub user_id: UserId,
    pub mode: SessionMode,
    /// In which it was taken up.
    pub generation: Generation,
}

impl From<&Session> for Subject {
    fn from(session: &Session) -> Self {
        Self {
            session_id: session.id,
            user_id: session.user_id,
            mode: session.mode,
            generation: session.generation,
        }
    }
}

/// Why a running turn is asked to stop; of several reasons the last of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// A person interrupted it or set the session aside; the agent stays.
    Interrupt,
    /// The session ends, and its agent with it.
    Terminate,
    /// The server ends.
    Shutdown,
    /// Another server may run the session: the agent is killed at once.
    LeaseLost,
}

/// Every live agent of this server.
#[derive(Debug)]
pub struct LiveAgents {
    seats: Mutex<HashMap<SessionId, Seat>>,
    interactive_max: usize,
    background_max: usize,
    /// How many agents of a session have lost their seat and have not ended yet.
    closing: watch::Sender<HashMap<SessionId, usize>>,
    /// Wakes whoever waits for a seat to be given up.
    given_up: Notify,
}

/// Interactive and background sessions are counted apart, so that neither crowds the other out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    Interactive,
    Background,
}

impl Pool {
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Background];
}

impl From<SessionMode> for Pool {
    fn from(mode: SessionMode) -> Self {
        match mode {
            SessionMode::Interactive | SessionMode::Forked => Self::Interactive,
            SessionMode::Background => Self::Background,
        }
    }
}

/// The right to run a session's turn; given back when dropped.
#[derive(Debug)]
pub struct Hold {
    live: Arc<LiveAgents>,
    session: SessionId,
    /// The agent, if one is running.
    pub agent: Option<LiveAgent>,
    /// Changes when the turn is asked to stop.
    pub stop: watch::Receiver<Option<Stop>>,
}

/// An agent that lost its seat and has to be closed by whoever got this.
pub type Evicted = LiveAgent;

/// What came of asking for a session's seat.
#[derive(Debug)]
pub enum Taken {
    Held(Box<Hold>),
    /// Its turn runs already.
    Busy,
    /// Its agent is being started ahead of the prompt.
    Waking,
    /// All seats of its kind are taken by agents at work.
    Full,
}

impl LiveAgents {
    /// Room for so many agents of each kind.
    #[must_use]
    pub fn new(interactive_max: usize, background_max: usize) -> Arc<Self> {
        let closing = watch::Sender::default();
        let given_up = Notify::new();
        Arc::new(Self { seats: Mutex::default(), interactive_max, background_max, closing, given_up })
    }

    /// How many agents of this kind there may be.
    pub fn limit(&self, pool: Pool) -> usize {
        match pool {
            Pool::Interactive => self.interactive_max,
            Pool::Background => self.background_max,
        }
    }

    /// The session, if its agent is here and waits for the next prompt.
    pub fn waiting(&self, session: SessionId) -> Option<Subject> {
        match &self.seats().get(&session)?.state {
            SeatState::Idle { agent, .. } => Some(agent.subject),
            SeatState::Taken(_) => None,
        }
    }

    /// The agents that wait for prompts.
    pub fn idle(&self) -> Vec<Subject> {
        let seats = self.seats();
        let idle = seats.values().filter_map(|seat| match &seat.state {
            SeatState::Idle { agent, .. } => Some(agent.subject),
            SeatState::Taken(_) => None,
        });
        idle.collect()
    }

    /// Whether a turn of the session runs here.
    pub fn runs(&self, session: SessionId) -> bool {
        self.seats().get(&session).is_some_and(Seat::is_at_work)
    }

    /// How many sessions of this kind each user has running.
    pub fn running(&self, pool: Pool) -> HashMap<UserId, usize> {
        let mut running = HashMap::new();
        for seat in self.seats().values().filter(|seat| seat.pool() == pool && seat.is_at_work()) {
            *running.entry(seat.subject.user_id).or_default() += 1;
        }
        running
    }

    /// Takes the session's seat for a turn, its idle agent with it unless that is outdated and has to be closed. With
    /// all seats of its kind taken, the agent that has been idle longest makes room and has to be closed. If none is
    /// idle there is no room, and an agent that is only being woken is asked to make some.
    pub fn take(self: &Arc<Self>, subject: Subject) -> (Taken, Option<Evicted>) {
        let mut seats = self.seats();
        let (stop, heard) = watch::channel(None);
        let task = Task::turn(stop);
        let session = subject.session_id;
        let hold = |agent| Box::new(Hold { live: Arc::clone(self), session, agent, stop: heard });
        if let Some(seat) = seats.get_mut(&subject.session_id) {
            return match std::mem::replace(&mut seat.state, SeatState::Taken(task)) {
                SeatState::Idle { agent, .. } if std::mem::take(&mut seat.is_outdated) => {
                    (Taken::Held(hold(None)), Some(*agent))
                }
                SeatState::Idle { agent, .. } => (Taken::Held(hold(Some(*agent))), None),
                SeatState::Taken(task) => {
                    let taken = if task.is_waking { Taken::Waking } else { Taken::Busy };
                    seat.state = SeatState::Taken(task);
                    (taken, None)
                }
            };
        }
        let pool = Pool::from(subject.mode);
        let mut evicted = None;
        if seats.values().filter(|seat| seat.pool() == pool).count() >= self.limit(pool) {
            let idle = seats.iter().filter(|(_, seat)| seat.pool() == pool);
            let longest_idle = idle.filter_map(|(id, seat)| Some((seat.idle_since()?, *id))).min();
            evicted = longest_idle.and_then(|(_, id)| remove_idle(&mut seats, id));
            if evicted.is_none() {
                let waking = seats.values().filter(|seat| seat.pool() == pool).find_map(Seat::waking);
                if let Some(waking) = waking {
                    waking.ask_to_stop(Stop::Interrupt);
                }
                return (Taken::Full, None);
            }
        }
        seats.insert(subject.session_id, Seat::taken(subject, task));
        (Taken::Held(hold(None)), evicted)
    }

    /// Takes the session's seat to start its agent ahead of the prompt: if it has none, and a slot is free for which no
    /// other agent has to be closed.
    pub fn take_to_wake(self: &Arc<Self>, subject: Subject) -> Option<Hold> {
        let mut seats = self.seats();
        let pool = Pool::from(subject.mode);
        let is_full = seats.values().filter(|seat| seat.pool() == pool).count() >= self.limit(pool);
        if is_full || seats.contains_key(&subject.session_id) {
            return None;
        }
        let (sender, stop) = watch::channel(None);
        seats.insert(subject.session_id, Seat::taken(subject, Task::waking(sender)));
        Some(Hold { live: Arc::clone(self), session: subject.session_id, agent: None, stop })
    }

    /// Waits until the session's agent is not being started ahead of a prompt.
    pub async fn woken(&self, session: SessionId) {
        let waking = self.seats().get(&session).and_then(Seat::waking).map(|task| task.stop.subscribe());
        if let Some(mut waking) = waking {
            while waking.changed().await.is_ok() {}
        }
    }

    /// Asks whoever has the session's seat to stop.
    pub fn stop(&self, session: SessionId, why: Stop) {
        if let Some(Seat { state: SeatState::Taken(task), .. }) = self.seats().get(&session) {
            task.ask_to_stop(why);
        }
    }

    /// Asks this turn to stop, and no other that the session may run by now.
    pub fn stop_turn(&self, session: SessionId, turn: TurnId, why: Stop) {
        if let Some(Seat { state: SeatState::Taken(task), .. }) = self.seats().get_mut(&session) {
            task.stop_turn(turn, why);
        }
    }

    /// Asks every running turn to stop.
    pub fn stop_all(&self, why: Stop) {
        for seat in self.seats().values() {
            if let SeatState::Taken(task) = &seat.state {
                task.ask_to_stop(why);
            }
        }
    }

    /// Takes away the session's idle agent, to be closed.
    pub fn dismiss(&self, session: SessionId) -> Option<LiveAgent> {
        remove_idle(&mut self.seats(), session)
    }

    /// Waits until nobody has the session's seat, and takes away its agent, to be closed.
    pub async fn vacate(&self, session: SessionId) -> Option<LiveAgent> {
        loop {
            let mut given_up = std::pin::pin!(self.given_up.notified());
            given_up.as_mut().enable();
            let is_taken =
                matches!(self.seats().get(&session), Some(Seat { state: SeatState::Taken(_), .. }));
            if !is_taken {
                return self.dismiss(session);
            }
            given_up.await;
        }
    }

    /// Takes away the session's idle agent, to be closed; one that is at work stays until its turn is over.
    pub fn replace(&self, session: SessionId) -> Option<LiveAgent> {
        let mut seats = self.seats();
        if let Some(Seat { state: SeatState::Taken(_), is_outdated, .. }) = seats.get_mut(&session) {
            *is_outdated = true;
        }
        remove_idle(&mut seats, session)
    }

    /// As [`LiveAgents::replace`], for every session of a user, or of everybody.
    pub fn replace_all(&self, user: Option<UserId>) -> Vec<LiveAgent> {
        let mut seats = self.seats();
        let mut theirs = vec![];
        for (session, seat) in seats.iter_mut() {
            match &seat.state {
                _ if user.is_some_and(|user| seat.subject.user_id != user) => {}
                SeatState::Taken(_) => seat.is_outdated = true,
                SeatState::Idle { .. } => theirs.push(*session),
            }
        }
        theirs.into_iter().filter_map(|session| remove_idle(&mut seats, session)).collect()
    }

    /// Takes away every agent that has been idle for `timeout`, to be closed.
    pub fn dismiss_idle(&self, timeout: Duration) -> Vec<LiveAgent> {
        let idle: Vec<SessionId> = self
            .seats()
            .iter()
            .filter(|(_, seat)| seat.idle_since().is_some_and(|since| since.elapsed() >= timeout))
            .map(|(id, _)| *id)
            .collect();
        idle.into_iter().filter_map(|session| self.dismiss(session)).collect()
    }

    /// How many agents run or are being started.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seats().len()
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<SessionId, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// The session that it is the seat of.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The state in which a turn on this seat begins.
    pub fn first_status(&self) -> SessionStatus {
        match self.agent {
            Some(_) => SessionStatus::Processing,
            None => SessionStatus::Connecting,
        }
    }

    /// Says which turn the seat is for, now that it has begun.
    pub fn begun(&self, turn: TurnId) {
        if let Some(Seat { state: SeatState::Taken(task), .. }) = self.live.seats().get_mut(&self.session) {
            task.begun(turn);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut seats = self.live.seats();
        match self.agent.take() {
            Some(agent) => {
                if let Some(seat) = seats.get_mut(&self.session) {
                    seat.state = SeatState::Idle { agent: Box::new(agent), since: Instant::now() };
                }
            }
            None => {
                seats.remove(&self.session);
            }
        }
        drop(seats);
        self.live.given_up.notify_waiters();
    }
}
