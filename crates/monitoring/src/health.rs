//! Whether the server can do its work: named checks, run together, bounded, and not more often than needed.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, join_all},
};
use tokio::time::{Instant, timeout};

/// How long a report is given out again, so that many probes cost one check.
pub const REPORT_MAX_AGE: Duration = Duration::from_secs(2);

/// How long a check may take unless it names its own bound.
pub const DEFAULT_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// What a check finds: something worth showing (a version), or why it failed, in words for an operator.
pub type Outcome = Result<Option<String>, String>;

/// Whether the server can work without the thing checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// The server is not ready when this fails.
    Required,
    /// The server is degraded when this fails.
    Optional,
}

/// One thing to look at.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    importance: Importance,
    timeout: Duration,
    run: Arc<dyn Fn() -> BoxFuture<'static, Outcome> + Send + Sync>,
}

/// The health of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Every check passes.
    Healthy,
    /// Something optional fails.
    Degraded,
    /// Something required fails.
    Unhealthy,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    pub healthy: bool,
    pub required: bool,
    /// What was found when healthy, why not otherwise.
    pub detail: Option<String>,
    pub duration_ms: u64,
}

/// What all checks found at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub status: Status,
    /// By name.
    pub checks: BTreeMap<&'static str, CheckResult>,
}

/// Runs the checks and remembers the last report for `REPORT_MAX_AGE`.
pub struct HealthChecker {
    checks: Arc<[Check]>,
    latest: Mutex<Option<Run>>,
}

/// A round of checks, under way or finished at that instant.
///
/// It is kept here and not by whoever asked first: a probe that goes away in the middle neither stops the round
/// for others nor makes the next probe start a new one.
type Run = Shared<BoxFuture<'static, (Instant, Arc<Report>)>>;

impl HealthChecker {
    /// A checker of these; of two with the same name the later one is shown.
    #[must_use]
    pub fn new(checks: Vec<Check>) -> Self {
        Self { checks: checks.into(), latest: Mutex::new(None) }
    }

    /// The state of everything, at most `REPORT_MAX_AGE` old.
    pub async fn report(&self) -> Arc<Report> {
        self.current_run().await.1
    }

    fn current_run(&self) -> Run {
        // The lock is only held to swap the future, so a panic elsewhere cannot leave it half changed.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = latest.as_ref().filter(|run| is_fresh(run)) {
            return run.clone();
        }
        let run = run_all(Arc::clone(&self.checks)).boxed().shared();
        latest.insert(run).clone()
    }
}

fn is_fresh(run: &Run) -> bool {
    run.peek().is_none_or(|(finished, _)| finished.elapsed() < REPORT_MAX_AGE)
}

async fn run_all(checks: Arc<[Check]>) -> (Instant, Arc<Report>) {
    let results = join_all(checks.iter().map(|check| async { (check.name, check.result().await) })).await;
    (Instant::now(), Arc::new(Report::new(results.into_iter().collect())))
}

impl Check {
    /// A check the server cannot do without.
    #[must_use]
    pub fn required<F, Fut>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Self::new(name, Importance::Required, run)
    }

    /// A check of something the server can do without.
    #[must_use]
    pub fn optional<F, Fut>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Self::new(name, Importance::Optional, run)
    }

    fn new<F, Fut>(name: &'static str, importance: Importance, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let run = Arc::new(move || run().boxed());
        Self { name, importance, timeout: DEFAULT_CHECK_TIMEOUT, run }
    }

    /// The same check with another bound.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    async fn result(&self) -> CheckResult {
        let started = Instant::now();
        // A panic is caught here because a shared future that panicked would answer every later probe with a panic.
        let outcome = AssertUnwindSafe(timeout(self.timeout, (self.run)())).catch_unwind().await;
        let (healthy, detail) = match outcome {
            Ok(Ok(Ok(detail))) => (true, detail),
            Ok(Ok(Err(reason))) => (false, Some(reason)),
            Ok(Err(_elapsed)) => (false, Some(format!("no answer within {} ms", self.timeout.as_millis()))),
            Err(_panic) => (false, Some("the check itself broke".to_owned())),
        };
        CheckResult {
            healthy,
            required: self.importance == Importance::Required,
            detail,
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Report {
    fn new(checks: BTreeMap<&'static str, CheckResult>) -> Self {
        let failed = |required| checks.values().any(|check| !check.healthy && check.required == required);
        let status = if failed(true) {
            Status::Unhealthy
        } else if failed(false) {
            Status::Degraded
        } else {
            Status::Healthy
        };
        Self { status, checks }
    }

    /// Whether requests may be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status != Status::Unhealthy
    }
}

impl Status {
    /// The word for it on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("importance", &self.importance)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HealthChecker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthChecker").field("checks", &self.checks).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
