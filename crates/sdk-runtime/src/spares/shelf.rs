//! The shelf: which spares there are, and how many of which there should be. No tasks and no waiting
//! inside; the keeper does what it says.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::AbortHandle, time::Instant};

use super::{
    profile::Profile,
    settings::{SpareSettings, SpareStats},
};
use crate::{agent::Agent, clock, event::Events};

/// A parked agent.
pub(super) struct Spare {
    pub(super) agent: Agent,
    pub(super) events: Events,
    pub(super) since: Instant,
    pub(super) id: u64,
    /// Looks out for its death; needed only while it is parked.
    pub(super) watch: AbortHandle,
}

/// What the keeper has to do.
#[derive(Default)]
pub(super) struct Chores {
    /// Start one of each.
    pub(super) start: Vec<Arc<Profile>>,
    /// End these.
    pub(super) end: Vec<Spare>,
    /// Look again then, at the latest.
    pub(super) again_at: Option<Instant>,
    pub(super) is_shut: bool,
}

pub(super) struct Shelf {
    pub(super) settings: SpareSettings,
    inner: Mutex<Inner>,
    /// Counts changes, for those who wait for one.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    groups: Vec<Group>,
    stats: SpareStats,
    is_shut: bool,
    id_next: u64,
}

struct Group {
    profile: Arc<Profile>,
    /// Oldest first.
    ready: Vec<Spare>,
    starting: usize,
    failures: u32,
    not_before: Instant,
    used: Instant,
}

impl Shelf {
    pub(super) fn new(settings: SpareSettings) -> Self {
        Self { settings, inner: Mutex::default(), changed: watch::Sender::new(0) }
    }

    /// Keeps spares of this profile from now on, and notes that it is in use.
    pub(super) fn want(&self, profile: Profile) {
        let now = Instant::now();
        let mut inner = self.lock();
        if inner.is_shut {
            return;
        }
        match inner.groups.iter_mut().find(|group| *group.profile == profile) {
            Some(group) => group.used = now,
            None => {
                let ready = Vec::new();
                let profile = Arc::new(profile);
                let group = Group { profile, ready, starting: 0, failures: 0, not_before: now, used: now };
                inner.groups.push(group);
            }
        }
        drop(inner);
        self.change();
    }

    /// Takes the spare of this profile that waited longest and is alive.
    pub(super) fn take(&self, profile: &Profile) -> Option<Spare> {
        let mut inner = self.lock();
        let age_max = self.settings.age_max;
        let Inner { groups, stats, .. } = &mut *inner;
        let group = groups.iter_mut().find(|group| *group.profile == *profile)?;
        let was_full = group.ready.len() + group.starting >= self.settings.size;
        let mut passed_over = Vec::new();
        let taken = loop {
            if group.ready.is_empty() {
                break None;
            }
            let spare = group.ready.remove(0);
            if spare.agent.has_exited() {
                stats.discarded_died += 1;
            } else if spare.since.elapsed() >= age_max {
                stats.discarded_aged += 1;
            } else {
                break Some(spare);
            }
            passed_over.push(spare);
        };
        if taken.is_some() && was_full {
            group.not_before = group.not_before.max(clock::from_now(self.settings.refill_delay));
        }
        drop(inner);
        self.change();
        taken.inspect(|spare| spare.watch.abort())
    }

    /// What has to be done now.
    pub(super) fn chores(&self) -> Chores {
        let now = Instant::now();
        let mut inner = self.lock();
        let mut chores = Chores { is_shut: inner.is_shut, ..Chores::default() };
        if inner.is_shut {
            chores.end = inner.groups.drain(..).flat_map(|group| group.ready).collect();
            return chores;
        }
        let Inner { groups, stats, .. } = &mut *inner;
        while groups.len() > self.settings.profiles_max.max(1) {
            let Some(stale) = (0..groups.len()).min_by_key(|index| groups[*index].used) else {
                break;
            };
            let gone = groups.swap_remove(stale);
            stats.discarded_aged += gone.ready.len() as u64;
            chores.end.extend(gone.ready);
        }
        for group in groups.iter_mut() {
            let aged =
                group.ready.extract_if(.., |spare| now.duration_since(spare.since) >= self.settings.age_max);
            let before = chores.end.len();
            chores.end.extend(aged);
            stats.discarded_aged += (chores.end.len() - before) as u64;
            chores.wake(group.ready.first().map(|spare| clock::after(spare.since, self.settings.age_max)));
        }
        self.start(groups, now, &mut chores);
        chores
    }

    fn start(&self, groups: &mut [Group], now: Instant, chores: &mut Chores) {
        let mut starting: usize = groups.iter().map(|group| group.starting).sum();
        // One for each in turn, the emptiest first, so that one profile cannot keep the others waiting.
        while starting < self.settings.starting_max.max(1) {
            let wanting =
                groups.iter_mut().filter(|group| group.ready.len() + group.starting < self.settings.size);
            let Some(group) = wanting
                .filter(|group| group.not_before <= now)
                .min_by_key(|group| group.ready.len() + group.starting)
            else {
                break;
            };
            group.starting += 1;
            starting += 1;
            chores.start.push(Arc::clone(&group.profile));
        }
        for group in groups.iter().filter(|group| group.ready.len() + group.starting < self.settings.size) {
            chores.wake((group.not_before > now).then_some(group.not_before));
        }
    }

    /// A number for a spare that was started.
    pub(super) fn number(&self) -> u64 {
        let mut inner = self.lock();
        inner.id_next += 1;
        inner.id_next
    }

    /// Puts a started spare on the shelf, or gives it back when nobody wants it any more.
    pub(super) fn put(&self, profile: &Arc<Profile>, spare: Spare) -> Result<(), Spare> {
        let mut inner = self.lock();
        let is_shut = inner.is_shut;
        let group = inner.groups.iter_mut().find(|group| Arc::ptr_eq(&group.profile, profile));
        let put = match group {
            Some(group) if !is_shut => {
                group.starting -= 1;
                group.failures = 0;
                group.ready.push(spare);
                Ok(())
            }
            _ => Err(spare),
        };
        drop(inner);
        self.change();
        put
    }

    /// A spare could not be started; the next is not tried at once.
    pub(super) fn failed(&self, profile: &Arc<Profile>) {
        let mut inner = self.lock();
        inner.stats.failed += 1;
        let group = inner.groups.iter_mut().find(|group| Arc::ptr_eq(&group.profile, profile));
        if let Some(group) = group {
            let doubled = 1_u32.checked_shl(group.failures.min(16)).unwrap_or(u32::MAX);
            let delay = self.settings.retry_delay.saturating_mul(doubled).min(self.settings.retry_delay_max);
            group.starting -= 1;
            group.failures = group.failures.saturating_add(1);
            group.not_before = clock::from_now(delay.max(Duration::from_millis(1)));
        }
        drop(inner);
        self.change();
    }

    /// A parked spare is dead.
    pub(super) fn died(&self, id: u64) {
        let mut inner = self.lock();
        let Inner { groups, stats, .. } = &mut *inner;
        let dead: Vec<Spare> =
            groups.iter_mut().flat_map(|group| group.ready.extract_if(.., |spare| spare.id == id)).collect();
        stats.discarded_died += dead.len() as u64;
        for group in groups.iter_mut().filter(|_| !dead.is_empty()) {
            // One that dies as soon as it is ready must not be started over and over.
            group.not_before = group.not_before.max(clock::from_now(self.settings.retry_delay));
        }
        drop(inner);
        drop(dead);
        self.change();
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut SpareStats)) {
        count(&mut self.lock().stats);
        self.change();
    }

    pub(super) fn stats(&self) -> SpareStats {
        let inner = self.lock();
        SpareStats {
            ready: inner.groups.iter().map(|group| group.ready.len()).sum(),
            starting: inner.groups.iter().map(|group| group.starting).sum(),
            ..inner.stats
        }
    }

    pub(super) async fn ready(&self, count: usize) {
        let mut changed = self.changed();
        // The sender lives in self, so the wait can only end with success.
        let _ = changed.wait_for(|_| self.stats().ready >= count || self.is_shut()).await;
    }

    pub(super) fn shut(&self) {
        self.lock().is_shut = true;
        self.change();
    }

    pub(super) fn is_shut(&self) -> bool {
        self.lock().is_shut
    }

    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn change(&self) {
        self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chores {
    fn wake(&mut self, at: Option<Instant>) {
        self.again_at = match (self.again_at, at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
