//! How often things ran and how long they took, in this process and since it started.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use uuid::Uuid;

/// Sessions whose tools are remembered; the one that began longest ago goes first.
const SESSIONS_MAX: usize = 10_000;
/// Hooks that are told apart by name; those beyond are counted together.
const HOOKS_MAX: usize = 1_000;
const OTHER: &str = "other";

/// Runs of one kind of thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    pub total: Duration,
}

impl Tally {
    /// The mean duration of a run; `None` if there was none.
    #[must_use]
    pub fn mean(self) -> Option<Duration> {
        let count = u32::try_from(self.count).ok().filter(|count| *count > 0)?;
        Some(self.total / count)
    }

    fn add(&mut self, took: Duration) {
        self.count += 1;
        self.total += took;
    }
}

/// The durations of tools by session, and of hooks by name.
#[derive(Debug, Default)]
pub struct Durations(Mutex<Tallies>);

#[derive(Debug, Default)]
struct Tallies {
    tools: BTreeMap<Uuid, Tally>,
    /// The sessions in `tools`, in the order they came.
    sessions: VecDeque<Uuid>,
    hooks: BTreeMap<String, Tally>,
}

impl Durations {
    /// A tool of this session has run.
    pub fn tool(&self, session: Uuid, took: Duration) {
        let mut tallies = self.tallies();
        if !tallies.tools.contains_key(&session) {
            tallies.sessions.push_back(session);
            if tallies.sessions.len() > SESSIONS_MAX
                && let Some(oldest) = tallies.sessions.pop_front()
            {
                tallies.tools.remove(&oldest);
            }
        }
        tallies.tools.entry(session).or_default().add(took);
    }

    /// A hook of this name has run.
    pub fn hook(&self, name: &str, took: Duration) {
        let mut tallies = self.tallies();
        let is_known = tallies.hooks.contains_key(name) || tallies.hooks.len() < HOOKS_MAX;
        tallies.hooks.entry(if is_known { name } else { OTHER }.to_owned()).or_default().add(took);
    }

    /// The tools of this session, as far as this process has seen them.
    #[must_use]
    pub fn tools_of(&self, session: Uuid) -> Tally {
        self.tallies().tools.get(&session).copied().unwrap_or_default()
    }

    /// Every hook that has run.
    #[must_use]
    pub fn hooks(&self) -> BTreeMap<String, Tally> {
        self.tallies().hooks.clone()
    }

    fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_by_session_and_by_hook_within_bounds() {
        let durations = Durations::default();
        let first = Uuid::from_u128(1);
        durations.tool(first, Duration::from_millis(10));
        durations.tool(first, Duration::from_millis(30));
        assert_eq!(durations.tools_of(first).mean(), Some(Duration::from_millis(20)));
        assert_eq!(durations.tools_of(Uuid::nil()).mean(), None);
        for n in 0..SESSIONS_MAX as u128 {
            durations.tool(Uuid::from_u128(n + 2), Duration::ZERO);
        }
        assert_eq!(durations.tools_of(first).count, 0, "the oldest made room");
        for n in 0..HOOKS_MAX + 5 {
            durations.hook(&format!("hook-{n}"), Duration::ZERO);
        }
        let hooks = durations.hooks();
        assert_eq!((hooks.len(), hooks[OTHER].count), (HOOKS_MAX + 1, 5));
    }
}
