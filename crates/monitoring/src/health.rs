//! Whether the server can do its work: named checks, run together, bounded, and not more often than needed.

mod check;
mod disk;
mod probe;
mod report;
mod watch;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use tokio::runtime::Handle;

use self::probe::Probe;
pub use self::{
    check::{Check, Finding, Importance, Outcome},
    disk::{DiskBounds, Room, disk},
    report::{CheckResult, PartResult, Report, Status},
    watch::{HealthWatch, WatchSettings},
};

/// How long what a check found is given out again unless it names its own age, so that many probes cost one check.
pub const REPORT_MAX_AGE: Duration = Duration::from_secs(2);

/// How long a check may take unless it names its own bound.
pub const DEFAULT_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the checks, each at most once at a time, and remembers what they found for as long as each of them says.
pub struct HealthChecker {
    probes: Vec<Probe>,
    /// Where checks run. A web server's workers have small runtimes of their own, which end with them.
    runtime: Handle,
    latest: Mutex<Option<Arc<Report>>>,
}

impl HealthChecker {
    /// A checker of these, which will run on the current tokio runtime; of two with the same name the later one is
    /// shown. Checks that still run when it is dropped are ended.
    #[must_use]
    pub fn new(checks: Vec<Check>) -> Self {
        let probes = checks.into_iter().map(Probe::new).collect();
        Self { probes, runtime: Handle::current(), latest: Mutex::default() }
    }

    /// The state of everything. Takes as long as the slowest check that has to be waited for, and no longer than its
    /// bound.
    pub async fn report(&self) -> Arc<Report> {
        let looks = self.probes.iter().map(|probe| async { (probe.name(), probe.look(&self.runtime).await) });
        let report = Arc::new(Report::new(join_all(looks).await.into_iter().collect()));
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&report));
        report
    }

    /// What one check finds, without asking the others; `None` if there is no check of this name.
    pub async fn check(&self, name: &str) -> Option<CheckResult> {
        let probe = self.probes.iter().rfind(|probe| probe.name() == name)?;
        Some(probe.look(&self.runtime).await)
    }

    /// The latest report, for gauges: nothing is checked for it. `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Report>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for HealthChecker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthChecker").field("probes", &self.probes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
