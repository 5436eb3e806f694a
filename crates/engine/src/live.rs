//! Which sessions have an agent process now, who holds it, and how many there may be.

use crate::{Error, Result, governance::Governed};
use domain::{Generation, Session, SessionId, SessionMode, SessionSpec, UserId};
use sdk_runtime::{Agent, Events};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// What a caller without a slot is told to wait.
const RETRY_AFTER_SECONDS: u64 = 5;

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
}

impl LiveAgent {
    /// Whether the session is not any more what this agent was started for. That it has left the plan mode by itself
    /// is no difference.
    pub fn is_outdated(&self, session: &Session) -> bool {
        let mut started_with = self.spec.clone();
        if self.governed.left_plan_mode.load(Ordering::Relaxed) {
            started_with.permission_mode.clone_from(&session.spec.permission_mode);
        }
        self.subject != Subject::from(session) || *started_with != session.spec
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

/// Why a running turn is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// An agent is being closed; it counts as gone when this is dropped.
#[derive(Debug)]
pub struct Closing {
    live: Arc<LiveAgents>,
    session: SessionId,
}

#[derive(Debug)]
struct Seat {
    pool: Pool,
    state: SeatState,
    /// The agent was started with settings that have changed since: it is for no turn after the running one.
    is_outdated: bool,
}

#[derive(Debug)]
enum SeatState {
    /// A turn runs.
    Taken(watch::Sender<Option<Stop>>),
    /// The agent waits for the next prompt.
    Idle { agent: Box<LiveAgent>, since: Instant },
}

/// Interactive and background sessions are counted apart, so that neither crowds the other out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pool {
    Interactive,
    Background,
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

/// What came of asking for a session's seat.
#[derive(Debug)]
pub enum Taken {
    Held(Box<Hold>),
    /// Its turn runs already.
    Busy,
}

/// An agent that lost its seat and has to be closed by whoever got this.
pub type Evicted = LiveAgent;

impl LiveAgents {
    /// Room for so many agents of each kind.
    #[must_use]
    pub fn new(interactive_max: usize, background_max: usize) -> Arc<Self> {
        let closing = watch::Sender::default();
        let given_up = Notify::new();
        Arc::new(Self { seats: Mutex::default(), interactive_max, background_max, closing, given_up })
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

    /// Takes the session's seat, its idle agent with it unless that is outdated and has to be closed. With all seats of its kind taken, the agent that has been
    /// idle longest makes room and has to be closed; if none is idle there is no slot.
    pub fn take(self: &Arc<Self>, session: SessionId, mode: SessionMode) -> Result<(Taken, Option<Evicted>)> {
        let pool = Pool::from(mode);
        let mut seats = self.seats();
        let (sender, stop) = watch::channel(None);
        let hold = |agent| Box::new(Hold { live: Arc::clone(self), session, agent, stop });
        if let Some(seat) = seats.get_mut(&session) {
            return match std::mem::replace(&mut seat.state, SeatState::Taken(sender)) {
                SeatState::Idle { agent, .. } if std::mem::take(&mut seat.is_outdated) => {
                    Ok((Taken::Held(hold(None)), Some(*agent)))
                }
                SeatState::Idle { agent, .. } => Ok((Taken::Held(hold(Some(*agent))), None)),
                taken @ SeatState::Taken(_) => {
                    seat.state = taken;
                    Ok((Taken::Busy, None))
                }
            };
        }
        let limit = match pool {
            Pool::Interactive => self.interactive_max,
            Pool::Background => self.background_max,
        };
        let mut evicted = None;
        if seats.values().filter(|seat| seat.pool == pool).count() >= limit {
            let longest_idle = seats
                .iter()
                .filter(|(_, seat)| seat.pool == pool)
                .filter_map(|(id, seat)| match seat.state {
                    SeatState::Idle { since, .. } => Some((since, *id)),
                    SeatState::Taken(_) => None,
                })
                .min()
                .map(|(_, id)| id);
            let freed = longest_idle.and_then(|id| seats.remove(&id));
            match freed.map(|seat| seat.state) {
                Some(SeatState::Idle { agent, .. }) => evicted = Some(*agent),
                Some(SeatState::Taken(_)) | None => {
                    return Err(Error::NoSlot { limit, retry_after_seconds: RETRY_AFTER_SECONDS });
                }
            }
        }
        seats.insert(session, Seat { pool, state: SeatState::Taken(sender), is_outdated: false });
        Ok((Taken::Held(hold(None)), evicted))
    }

    /// Asks the session's running turn to stop; false if none runs here.
    pub fn stop(&self, session: SessionId, why: Stop) -> bool {
        match self.seats().get(&session).map(|seat| &seat.state) {
            Some(SeatState::Taken(sender)) => sender.send(Some(why)).is_ok(),
            Some(SeatState::Idle { .. }) | None => false,
        }
    }

    /// Asks every running turn to stop.
    pub fn stop_all(&self, why: Stop) {
        for seat in self.seats().values() {
            if let SeatState::Taken(sender) = &seat.state {
                sender.send_replace(Some(why));
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
                // Whose it is nobody knows here; to start a new agent for the next turn hurts nobody.
                SeatState::Taken(_) => seat.is_outdated = true,
                SeatState::Idle { agent, .. } if user.is_none_or(|user| agent.subject.user_id == user) => {
                    theirs.push(*session);
                }
                SeatState::Idle { .. } => {}
            }
        }
        theirs.into_iter().filter_map(|session| remove_idle(&mut seats, session)).collect()
    }

    /// Takes away every agent that has been idle for `timeout`, to be closed.
    pub fn dismiss_idle(&self, timeout: Duration) -> Vec<LiveAgent> {
        let idle: Vec<SessionId> = self
            .seats()
            .iter()
            .filter(
                |(_, seat)| matches!(seat.state, SeatState::Idle { since, .. } if since.elapsed() >= timeout),
            )
            .map(|(id, _)| *id)
            .collect();
        idle.into_iter().filter_map(|session| self.dismiss(session)).collect()
    }

    /// Notes that an agent of this session is being closed.
    pub fn closing(self: &Arc<Self>, session: SessionId) -> Closing {
        self.closing.send_modify(|closing| *closing.entry(session).or_default() += 1);
        Closing { live: Arc::clone(self), session }
    }

    /// Waits until no agent of this session is being closed. Two agents at once would write into one transcript.
    pub async fn closed(&self, session: SessionId) {
        let mut closing = self.closing.subscribe();
        // Fails only without a sender, and this value holds one.
        let _ = closing.wait_for(|closing| !closing.contains_key(&session)).await;
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

fn remove_idle(seats: &mut HashMap<SessionId, Seat>, session: SessionId) -> Option<LiveAgent> {
    let is_idle = matches!(seats.get(&session), Some(Seat { state: SeatState::Idle { .. }, .. }));
    if !is_idle {
        return None;
    }
    match seats.remove(&session)?.state {
        SeatState::Idle { agent, .. } => Some(*agent),
        SeatState::Taken(_) => None,
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.live.closing.send_modify(|closing| {
            if let Entry::Occupied(mut count) = closing.entry(self.session) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        });
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
