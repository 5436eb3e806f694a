//! What goes on right now, counted by values that exist as long as it does.

use super::MetricsCollector;
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

#[derive(Debug, Clone, Copy)]
enum Level {
    Requests,
    Watchers,
    Starting,
    Trials,
}

/// Counts one more while it exists.
#[must_use]
pub struct LevelGuard {
    metrics: Arc<MetricsCollector>,
    level: Level,
}

impl MetricsCollector {
    /// A request whose answer has not begun.
    pub fn request_active(self: &Arc<Self>) -> LevelGuard {
        LevelGuard::new(self, Level::Requests)
    }

    /// A client that watches a session.
    pub fn watching(self: &Arc<Self>) -> LevelGuard {
        LevelGuard::new(self, Level::Watchers)
    }

    /// An agent that is being started for a session.
    pub fn agent_starting(self: &Arc<Self>) -> LevelGuard {
        LevelGuard::new(self, Level::Starting)
    }

    /// An agent that is tried and that nobody has.
    pub fn agent_on_trial(self: &Arc<Self>) -> LevelGuard {
        LevelGuard::new(self, Level::Trials)
    }

    fn shift(&self, level: Level, by: i64) {
        let Some(on) = self.on() else { return };
        match level {
            Level::Requests => on.meters.instruments.http_active.shift(by),
            Level::Watchers => on.meters.instruments.stream_watchers.shift(by),
            Level::Starting => {
                on.levels.starting.fetch_add(by, Ordering::Relaxed);
            }
            Level::Trials => {
                on.levels.trials.fetch_add(by, Ordering::Relaxed);
            }
        }
    }
}

impl LevelGuard {
    fn new(metrics: &Arc<MetricsCollector>, level: Level) -> Self {
        metrics.shift(level, 1);
        Self { metrics: metrics.clone(), level }
    }
}

impl Drop for LevelGuard {
    fn drop(&mut self) {
        self.metrics.shift(self.level, -1);
    }
}

impl fmt::Debug for LevelGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LevelGuard").field(&self.level).finish()
    }
}
