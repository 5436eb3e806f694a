//! The hooks of one session, as the agent is told of them: one registration per event that somebody listens to.

use crate::{BadMatcher, Matcher, Observer, Recorder, SessionHook, chain::Chain, limits::ANSWER_MARGIN};
use domain::{Clock, CurrentTurn, Generation, SessionId, UserId};
use sdk_runtime::{HookEvent, HookInput, HookRegistration, OnFailure};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// Whose agent it is, and what it works on.
#[derive(Debug, Clone)]
pub struct HookScope {
    pub session_id: SessionId,
    pub user_id: UserId,
    /// In which the agent was taken up; nothing it does counts in a later one.
    pub generation: Generation,
    pub turn: CurrentTurn,
    /// Tells a call that is made only to see it denied: the last hook answers it alone, and nothing is recorded.
    pub is_trial: fn(&HookInput) -> bool,
}

/// Runs the hooks of one session.
///
/// The agent runs all registrations of an event at once, so it gets one per event, and the hooks behind it run here,
/// in their order. An event nobody listens to has none, because each costs a round trip.
pub struct HookManager {
    chains: BTreeMap<HookEvent, Chain>,
}

impl HookManager {
    /// Sorts hooks and observers by their events. The `verdicts` come after all hooks, whatever their order, so that
    /// nobody gets behind them and changes what they have judged.
    pub fn new(
        scope: &HookScope,
        mut hooks: Vec<SessionHook>,
        verdicts: Vec<SessionHook>,
        observers: &[Arc<dyn Observer>],
        recorder: &Recorder,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, BadMatcher> {
        // Stable: of equal ones the first is asked first.
        hooks.sort_by_key(|hook| hook.order);
        let parsed = |hook: SessionHook| Ok((Matcher::parse(hook.matcher.as_deref())?, hook));
        let verdicts = verdicts.into_iter().map(parsed).collect::<Result<Vec<_>, BadMatcher>>()?;
        let mut chains: BTreeMap<HookEvent, Chain> = BTreeMap::new();
        let chain = |event: &HookEvent| Chain {
            event: event.clone(),
            scope: scope.clone(),
            hooks: vec![],
            verdicts: vec![],
            observers: observers.to_vec(),
            recorder: recorder.clone(),
            clock: clock.clone(),
        };
        for event in observers.iter().flat_map(|observer| observer.events()) {
            chains.entry(event).or_insert_with_key(chain);
        }
        let hooks = hooks.into_iter().map(parsed).collect::<Result<Vec<_>, BadMatcher>>()?;
        for (matcher, hook) in hooks.into_iter().chain(verdicts.iter().cloned()) {
            chains.entry(hook.event.clone()).or_insert_with_key(chain).hooks.push((matcher, hook));
        }
        if let Some(requests) = chains.get_mut(&HookEvent::PermissionRequest) {
            requests.verdicts = verdicts;
            requests.verdicts.retain(|(_, verdict)| verdict.event == HookEvent::PreToolUse);
        }
        Ok(Self { chains })
    }

    /// What the agent is started with.
    #[must_use]
    pub fn into_registrations(self) -> Vec<HookRegistration> {
        self.chains.into_values().map(registration).collect()
    }
}

fn registration(chain: Chain) -> HookRegistration {
    let must_hold = chain.hooks.iter().any(|(_, hook)| hook.on_failure == OnFailure::Block);
    let hooks_take: Duration = chain.hooks.iter().chain(&chain.verdicts).map(|(_, hook)| hook.timeout).sum();
    let on_failure = if must_hold { OnFailure::Block } else { OnFailure::Continue };
    HookRegistration::new(chain.event.clone(), Arc::new(chain))
        .with_timeout(hooks_take + ANSWER_MARGIN)
        .with_on_failure(on_failure)
}

impl fmt::Debug for HookManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.chains.iter().map(|(event, chain)| {
                (event.as_str(), chain.hooks.iter().map(|(_, hook)| &hook.name).collect::<Vec<_>>())
            }))
            .finish()
    }
}
