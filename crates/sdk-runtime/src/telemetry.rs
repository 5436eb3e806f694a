//! What this crate says to `tracing`: names, ids, outcomes and durations, never what was said.
//!
//! | span | when | fields |
//! |---|---|---|
//! | `agent.start` | an agent is started | `agent`, `outcome`, `duration_ms`, `pid`, `version` |
//! | `agent.control` | a control request waits for its answer | `subtype`, `outcome`, `duration_ms` |
//! | `agent.hook` | a hook decides | `event`, `hook`, `outcome`, `duration_ms` |
//! | `agent.gate` | a gate decides | `tool`, `outcome`, `duration_ms` |
//! | `agent.elicitation`, `agent.dialog` | a person is asked | `outcome`, `duration_ms` |
//!
//! Events: `prompt sent`, `turn ended`, `agent ended`. Everything is at level DEBUG, what is odd at WARN.
//! `agent` is the same id everywhere: that of `SDK_RUNTIME_AGENT` in the agent's environment.

use std::time::Instant;

use tracing::{Span, field::Empty};
use uuid::Uuid;

use crate::event::Event;

/// A prompt is on its way.
pub(crate) fn prompt(agent: Uuid, prompt: Uuid) {
    tracing::debug!(%agent, %prompt, "prompt sent");
}

/// What of an event is worth a record: a turn's end, a loss, the agent's end.
pub(crate) fn event(agent: Uuid, event: &Event) {
    match event {
        Event::Frame(_) => {}
        Event::Finished { prompts, result } => {
            let (prompts, outcome) = (prompts.len(), result.outcome());
            let (duration_ms, rounds) = (result.duration_ms, result.num_turns);
            tracing::debug!(%agent, prompts, ?outcome, duration_ms, rounds, "turn ended");
        }
        Event::Dropped { prompts, why } => {
            tracing::debug!(%agent, prompts = prompts.len(), ?why, "prompts dropped");
        }
        Event::Skipped { reason, bytes } => {
            tracing::warn!(%agent, ?reason, bytes, "something the agent wrote was passed over");
        }
        Event::Overrun { unread_bytes } => {
            tracing::warn!(%agent, unread_bytes, "the host does not read: frames are lost");
        }
        Event::MirrorFailed(loss) => {
            tracing::warn!(%agent, entries = loss.entries, reason = loss.reason.name(), "transcript lines are not in the store");
        }
        Event::Exited(said) => {
            let (code, signal, swept) = (said.exit.code, said.exit.signal, said.exit.swept);
            let open_prompts = said.open_prompts.len();
            tracing::debug!(%agent, code, signal, swept, open_prompts, "agent ended");
        }
    }
}

/// A span that says at its end how long it took and what came of it.
pub(crate) struct Timed {
    span: Span,
    started: Instant,
}

impl Timed {
    fn new(span: Span) -> Self {
        Self { span, started: Instant::now() }
    }

    pub(crate) fn start(agent: Uuid) -> Self {
        let fields = tracing::debug_span!(
            "agent.start",
            agent = %agent, pid = Empty, version = Empty, outcome = Empty, duration_ms = Empty
        );
        Self::new(fields)
    }

    pub(crate) fn control(agent: Uuid, subtype: &str) -> Self {
        Self::new(tracing::debug_span!(
            "agent.control",
            agent = %agent, subtype, outcome = Empty, duration_ms = Empty
        ))
    }

    pub(crate) fn hook(event: &str, hook: usize) -> Self {
        Self::new(tracing::debug_span!("agent.hook", event, hook, outcome = Empty, duration_ms = Empty))
    }

    pub(crate) fn gate(tool: &str) -> Self {
        Self::new(tracing::debug_span!("agent.gate", tool, outcome = Empty, duration_ms = Empty))
    }

    pub(crate) fn elicitation() -> Self {
        Self::new(tracing::debug_span!("agent.elicitation", outcome = Empty, duration_ms = Empty))
    }

    pub(crate) fn dialog() -> Self {
        Self::new(tracing::debug_span!("agent.dialog", outcome = Empty, duration_ms = Empty))
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The one way to a good end; a span that is dropped without it was given up.
    pub(crate) fn end(self, outcome: &str) {
        self.span.record("outcome", outcome);
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.span.record("duration_ms", millis);
    }
}
