//! Where in which trace each turn stands: what happens elsewhere on a turn's behalf finds its parent here.
//!
//! The gateway and the hooks know a turn by its id, and agents report after a turn is over, so the places are kept for a
//! while. They are of this process: a turn that begins after a restart is in a trace that knows nothing of who asked.

use super::context_of;
use domain::{SessionId, TurnId};
use opentelemetry::trace::{SpanContext, TraceFlags};
use std::{
    collections::{HashMap, VecDeque},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};
use tracing::Span;

/// Sessions whose turns are remembered; the one that began first goes first.
const SESSIONS_MAX: usize = 4_096;
/// Turns of one session that are remembered.
const TURNS_MAX: usize = 32;
/// Turns that wait, whose asker is remembered.
const ASKED_MAX: usize = 10_000;
/// Tool calls of one turn whose spans are open.
pub(super) const TOOLS_MAX: usize = 256;

static TURNS: LazyLock<Mutex<Turns>> = LazyLock::new(Mutex::default);

#[derive(Default)]
pub(super) struct Turns {
    running: HashMap<TurnId, Running>,
    sessions: HashMap<SessionId, VecDeque<Known>>,
    /// The sessions, in the order they came.
    sessions_in_order: VecDeque<SessionId>,
    asked: HashMap<TurnId, SpanContext>,
    asked_in_order: VecDeque<TurnId>,
}

/// A turn that runs now.
pub(super) struct Running {
    pub(super) context: SpanContext,
    /// By the id of the call.
    pub(super) tools: HashMap<String, Span>,
}

/// A turn that is or was run here.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) turn_id: TurnId,
    pub(crate) context: SpanContext,
    pub(crate) began_unix_nanos: u64,
}

/// Remembers that whoever runs in the current span asked for a turn that has to wait.
pub fn asked(turn: TurnId) {
    let Some(context) = super::is_on().then(|| context_of(&Span::current())).flatten() else { return };
    let mut turns = turns();
    if turns.asked.insert(turn, context).is_none() {
        turns.asked_in_order.push_back(turn);
    }
    if turns.asked_in_order.len() > ASKED_MAX
        && let Some(oldest) = turns.asked_in_order.pop_front()
    {
        turns.asked.remove(&oldest);
    }
}

/// `traceparent` and `tracestate` for whoever is called in the current span.
///
/// It is always marked as sampled: whether an agent's spans are kept is decided for each turn when they arrive, and an
/// agent outlives the turn it was started in.
#[must_use]
pub fn trace_parent() -> Option<(String, String)> {
    let context = super::is_on().then(|| context_of(&Span::current())).flatten()?;
    let flags = TraceFlags::SAMPLED.to_u8();
    let parent = format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id());
    Some((parent, context.trace_state().header()))
}

/// Of the turns of a session, the one that ran at this time.
pub(crate) fn at(session: SessionId, unix_nanos: u64) -> Option<Known> {
    let turns = turns();
    let known = turns.sessions.get(&session)?;
    let before = known.iter().rev().find(|turn| turn.began_unix_nanos <= unix_nanos);
    before.or(known.front()).cloned()
}

/// Whether this is the span of one of the session's turns.
pub(crate) fn is_turn(session: SessionId, span_id: &[u8]) -> bool {
    let turns = turns();
    let known = turns.sessions.get(&session);
    known.is_some_and(|known| known.iter().any(|turn| turn.context.span_id().to_bytes() == span_id))
}

/// Who asked for a turn that had to wait.
pub(super) fn asker(turn: TurnId) -> Option<SpanContext> {
    let mut turns = turns();
    let context = turns.asked.remove(&turn)?;
    turns.asked_in_order.retain(|asked| *asked != turn);
    Some(context)
}

/// Notes that a turn has begun.
pub(super) fn begun(session: SessionId, known: Known) {
    let mut turns = turns();
    let running = Running { context: known.context.clone(), tools: HashMap::new() };
    turns.running.insert(known.turn_id, running);
    if !turns.sessions.contains_key(&session) {
        turns.sessions_in_order.push_back(session);
        if turns.sessions_in_order.len() > SESSIONS_MAX
            && let Some(oldest) = turns.sessions_in_order.pop_front()
        {
            turns.sessions.remove(&oldest);
        }
    }
    let of_session = turns.sessions.entry(session).or_default();
    of_session.push_back(known);
    if of_session.len() > TURNS_MAX {
        of_session.pop_front();
    }
}

/// Notes that a turn is over; what was still open of it is closed.
pub(super) fn ended(turn: TurnId) {
    let running = turns().running.remove(&turn);
    // Closing spans is not done under the lock.
    drop(running);
}

/// Looks at a running turn, or changes it.
pub(super) fn with_running<T>(turn: TurnId, look: impl FnOnce(&mut Running) -> T) -> Option<T> {
    turns().running.get_mut(&turn).map(look)
}

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}
