//! How fast things are: percentiles and throughput over the last minute, five minutes and hour, in fixed memory.

mod window;

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use window::Window;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// A turn, from its beginning to its end.
    Query,
    /// A tool that ran.
    Tool,
    /// A hook that was called.
    Hook,
    /// A verdict that an agent waited for.
    PermissionCheck,
}

impl Activity {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Query, Self::Tool, Self::Hook, Self::PermissionCheck];
}

/// The stretches of time that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    Minute,
    FiveMinutes,
    Hour,
}

impl Span {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::FiveMinutes, Self::Hour];

    /// Slots, and how long each is. The oldest goes when a new one begins, so a span is short by a slot at most.
    fn slots(self) -> (usize, Duration) {
        match self {
            Self::Minute => (12, Duration::from_secs(5)),
            Self::FiveMinutes => (10, Duration::from_secs(30)),
            Self::Hour => (12, Duration::from_secs(300)),
        }
    }
}

/// Figures of one activity over one span. Percentiles are within a hundredth of what was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    pub count: u64,
    /// Over the part of the span in which the server ran.
    pub per_second: f64,
    /// `None` if there was nothing.
    pub percentiles: Option<Percentiles>,
}

/// How long things took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    pub p50: Duration,
    pub p90: Duration,
    pub p95: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// Everything at one time: by activity, and by span in the order of [`Span::ALL`].
#[derive(Debug, Clone, PartialEq)]
pub struct PerformanceReport(Vec<(Activity, [Figures; 3])>);

/// Keeps the durations of the last hour.
pub struct PerformanceTracker {
    started: Instant,
    queries: Mutex<Windows>,
    tools: Mutex<Windows>,
    hooks: Mutex<Windows>,
    permission_checks: Mutex<Windows>,
}

type Windows = [Window; 3];

impl Default for PerformanceTracker {
    fn default() -> Self {
        let windows = || {
            Mutex::new(Span::ALL.map(|span| {
                let (slots, length) = span.slots();
                Window::new(slots, length)
            }))
        };
        Self {
            started: Instant::now(),
            queries: windows(),
            tools: windows(),
            hooks: windows(),
            permission_checks: windows(),
        }
    }
}

impl PerformanceTracker {
    /// Something took so long and ended now.
    pub fn record(&self, activity: Activity, took: Duration) {
        self.record_at(activity, took, self.started.elapsed());
    }

    /// The figures up to now.
    #[must_use]
    pub fn report(&self) -> PerformanceReport {
        self.report_at(self.started.elapsed())
    }

    /// `at` is since the tracker's beginning, which no setting of the clock changes.
    fn record_at(&self, activity: Activity, took: Duration, at: Duration) {
        let mut windows = self.windows(activity).lock().unwrap_or_else(PoisonError::into_inner);
        for window in windows.iter_mut() {
            window.record(took, at);
        }
    }

    fn report_at(&self, at: Duration) -> PerformanceReport {
        let figures = |activity| {
            let windows = self.windows(activity).lock().unwrap_or_else(PoisonError::into_inner);
            (activity, windows.each_ref().map(|window| window.figures(at)))
        };
        PerformanceReport(Activity::ALL.map(figures).to_vec())
    }

    fn windows(&self, activity: Activity) -> &Mutex<Windows> {
        match activity {
            Activity::Query => &self.queries,
            Activity::Tool => &self.tools,
            Activity::Hook => &self.hooks,
            Activity::PermissionCheck => &self.permission_checks,
        }
    }
}

impl PerformanceReport {
    /// Of one activity, by span in the order of [`Span::ALL`].
    #[must_use]
    pub fn of(&self, activity: Activity) -> [Figures; 3] {
        let found = self.0.iter().find(|(one, _)| *one == activity);
        found.map(|(_, figures)| *figures).unwrap_or_default()
    }
}

impl fmt::Debug for PerformanceTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerformanceTracker").field("started", &self.started).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
