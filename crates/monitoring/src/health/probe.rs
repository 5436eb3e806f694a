//! A check and its state: at most one run of it at a time, and what the last one found.
//!
//! A run is a task that belongs to the probe and not to whoever asked first: somebody who goes away in the middle neither
//! stops it for others nor makes the next one start another. One that hangs is joined by whoever asks later, so hanging
//! does not pile up.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    REPORT_MAX_AGE,
    check::{Check, Finding},
    report::CheckResult,
};

#[derive(Debug)]
pub(super) struct Probe {
    check: Check,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Run>,
    known: Option<Arc<Seen>>,
}

/// A run under way, or one whose outcome nobody has fetched yet.
#[derive(Debug)]
struct Run {
    started: Instant,
    seen: watch::Receiver<Option<Arc<Seen>>>,
    /// Ends the run when the probe gives it up or is dropped.
    _task: AbortOnDropHandle<()>,
}

/// What a run found.
#[derive(Debug)]
struct Seen {
    outcome: Result<Finding, String>,
    took: Duration,
    at: Instant,
}

/// What a look leads to.
enum Look {
    Known(Arc<Seen>),
    Wait { started: Instant, seen: watch::Receiver<Option<Arc<Seen>>> },
}

impl Probe {
    pub(super) fn new(check: Check) -> Self {
        Self { check, state: Mutex::default() }
    }

    pub(super) fn name(&self) -> &'static str {
        self.check.name
    }

    /// What the check finds, at most as old as it allows, after no longer than its bound.
    pub(super) async fn look(&self, runtime: &Handle) -> CheckResult {
        let (started, mut running) = match self.begin(runtime) {
            Look::Known(seen) => return self.result(&seen),
            Look::Wait { started, seen } => (started, seen),
        };
        let waited = timeout_at(started + self.check.timeout, running.wait_for(Option::is_some)).await;
        let seen = match waited {
            Ok(Ok(seen)) => seen.clone(),
            // The task was ended from outside, which only a runtime does that ends itself.
            Ok(Err(_)) => None,
            Err(_elapsed) => {
                let why = format!("no answer within {} ms", self.check.timeout.as_millis());
                return CheckResult::new(&self.check, &Err(why), started.elapsed(), Duration::ZERO);
            }
        };
        match seen {
            Some(seen) => self.result(&seen),
            None => {
                let why = Err("the check was broken off".to_owned());
                CheckResult::new(&self.check, &why, started.elapsed(), Duration::ZERO)
            }
        }
    }

    fn begin(&self, runtime: &Handle) -> Look {
        let mut state = self.state();
        state.fetch();
        if let Some(known) = state.known.clone().filter(|known| self.is_fresh(known)) {
            return Look::Known(known);
        }
        state.running.take_if(|run| self.is_given_up(run));
        let run = state.running.get_or_insert_with(|| Run::start(&self.check, runtime));
        let (started, seen) = (run.started, run.seen.clone());
        let may_be_old = self.check.is_slow && started.elapsed() < self.check.timeout;
        match state.known.clone().filter(|known| may_be_old && known.is_good()) {
            Some(known) => Look::Known(known),
            None => Look::Wait { started, seen },
        }
    }

    fn is_fresh(&self, known: &Seen) -> bool {
        let fresh_for = self.check.fresh_for;
        let fresh_for = if known.is_good() { fresh_for } else { fresh_for.min(REPORT_MAX_AGE) };
        known.at.elapsed() < fresh_for
    }

    fn is_given_up(&self, run: &Run) -> bool {
        let after = self.check.given_up_after;
        after.is_some_and(|times| run.started.elapsed() >= self.check.timeout.saturating_mul(times))
    }

    fn result(&self, seen: &Seen) -> CheckResult {
        CheckResult::new(&self.check, &seen.outcome, seen.took, seen.at.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The lock is only held to swap values, so a panic elsewhere cannot leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes what the run has found, if it has ended.
    fn fetch(&mut self) {
        let seen = self.running.as_ref().and_then(|run| run.seen.borrow().clone());
        let is_over =
            self.running.as_ref().is_some_and(|run| seen.is_some() || run.seen.has_changed().is_err());
        if is_over {
            self.running = None;
        }
        self.known = seen.or(self.known.take());
    }
}

impl Run {
    fn start(check: &Check, runtime: &Handle) -> Self {
        let (found, seen) = watch::channel(None);
        let (run, started) = (Arc::clone(&check.run), Instant::now());
        let task = runtime.spawn(async move {
            // A panic is a fault of the check, and news like any other.
            let outcome = AssertUnwindSafe(async { run().await }).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|_| Err("the check itself broke".to_owned()));
            let (took, at) = (started.elapsed(), Instant::now());
            found.send_replace(Some(Arc::new(Seen { outcome, took, at })));
        });
        Self { started, seen, _task: AbortOnDropHandle::new(task) }
    }
}

impl Seen {
    fn is_good(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|finding| finding.parts.values().all(Result::is_ok))
    }
}
