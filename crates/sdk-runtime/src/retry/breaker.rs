//! The circuit breaker: after failures in a row nothing is tried for a while, then one attempt decides.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::clock;

/// Stops attempts while nothing works. Clones are the same breaker.
#[derive(Debug, Clone)]
pub struct CircuitBreaker(Arc<Breaker>);

#[derive(Debug)]
struct Breaker {
    failures_max: u32,
    open_for: Duration,
    open_for_max: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    failures: u32,
    /// How often it opened without a success in between.
    openings: u32,
    /// Changes with each phase, so that what was begun in an earlier one has no say in this.
    round: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Open { until: Instant },
    Probing,
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One attempt, which decides.
    HalfOpen,
}

/// Nothing is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitOpen {
    /// When to come back, from now; zero while the attempt that decides is under way.
    pub retry_in: Duration,
}

/// An attempt that was let through. Dropped without a word, it says nothing about how things are, and
/// makes room for another.
#[derive(Debug)]
#[must_use = "the breaker has to be told how it went"]
pub struct Permit {
    breaker: Option<CircuitBreaker>,
    round: u64,
}

impl CircuitBreaker {
    /// Opens after `failures_max` failures in a row, for `open_for`; for twice as long each time the
    /// attempt that decides fails, up to `open_for_max`.
    pub fn new(failures_max: u32, open_for: Duration, open_for_max: Duration) -> Self {
        let inner = Inner { phase: Phase::Closed, failures: 0, openings: 0, round: 0 };
        Self(Arc::new(Breaker {
            failures_max: failures_max.max(1),
            open_for,
            open_for_max,
            inner: Mutex::new(inner),
        }))
    }

    /// Begins an attempt.
    ///
    /// # Errors
    ///
    /// When nothing is let through, and for how long.
    pub fn begin(&self) -> Result<Permit, CircuitOpen> {
        let mut inner = self.lock();
        match inner.phase {
            Phase::Closed => {}
            Phase::Open { until } => {
                let retry_in = until.saturating_duration_since(Instant::now());
                if !retry_in.is_zero() {
                    return Err(CircuitOpen { retry_in });
                }
                inner.enter(Phase::Probing);
            }
            Phase::Probing => return Err(CircuitOpen { retry_in: Duration::ZERO }),
        }
        Ok(Permit { breaker: Some(self.clone()), round: inner.round })
    }

    /// What it lets through now.
    pub fn state(&self) -> BreakerState {
        match self.lock().phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { until } if until > Instant::now() => BreakerState::Open,
            Phase::Open { .. } | Phase::Probing => BreakerState::HalfOpen,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self, round: u64) {
        let mut inner = self.lock();
        if inner.round == round {
            inner.failures = 0;
            inner.openings = 0;
            if !matches!(inner.phase, Phase::Closed) {
                inner.enter(Phase::Closed);
            }
        }
    }

    fn failed(&self, round: u64) {
        let mut inner = self.lock();
        if inner.round != round {
            return;
        }
        inner.failures = inner.failures.saturating_add(1);
        if inner.failures >= self.0.failures_max || matches!(inner.phase, Phase::Probing) {
            let doubled = 1_u32.checked_shl(inner.openings.min(16)).unwrap_or(u32::MAX);
            let open_for =
                self.0.open_for.saturating_mul(doubled).min(self.0.open_for_max.max(self.0.open_for));
            inner.openings = inner.openings.saturating_add(1);
            inner.failures = 0;
            inner.enter(Phase::Open { until: clock::from_now(open_for) });
            tracing::warn!(?open_for, "a circuit breaker opens");
        }
    }

    /// An attempt came to no end; if it was the one that decides, the next one does.
    fn abandoned(&self, round: u64) {
        let mut inner = self.lock();
        if inner.round == round && matches!(inner.phase, Phase::Probing) {
            inner.enter(Phase::Open { until: Instant::now() });
        }
    }
}

impl Inner {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.round = self.round.wrapping_add(1);
    }
}

impl Permit {
    /// For those who have no breaker.
    pub(super) fn free() -> Self {
        Self { breaker: None, round: 0 }
    }

    /// It went well.
    pub fn succeeded(mut self) {
        if let Some(breaker) = self.breaker.take() {
            breaker.succeeded(self.round);
        }
    }

    /// It failed in a way that says something about how things are.
    pub fn failed(mut self) {
        if let Some(breaker) = self.breaker.take() {
            breaker.failed(self.round);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(breaker) = self.breaker.take() {
            breaker.abandoned(self.round);
        }
    }
}

impl Default for CircuitBreaker {
    /// Five failures in a row, ten seconds, five minutes at most.
    fn default() -> Self {
        Self::new(5, Duration::from_secs(10), Duration::from_secs(300))
    }
}

impl fmt::Display for CircuitOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the next attempt is let through in {:?}", self.retry_in)
    }
}

impl std::error::Error for CircuitOpen {}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fail(breaker: &CircuitBreaker) {
        breaker.begin().unwrap().failed();
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_one_success_closes_it() {
        let breaker = CircuitBreaker::new(2, 10 * SECOND, 100 * SECOND);
        fail(&breaker);
        breaker.begin().unwrap().succeeded();
        fail(&breaker);
        assert_eq!(breaker.state(), BreakerState::Closed, "they were not in a row");
        fail(&breaker);
        assert_eq!(breaker.begin().unwrap_err().retry_in, 10 * SECOND);
        sleep(10 * SECOND).await;
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        let probe = breaker.begin().unwrap();
        assert!(breaker.begin().is_err(), "one decides");
        probe.succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&breaker);
        assert_eq!(breaker.state(), BreakerState::Closed, "it counts from the beginning");
    }

    #[tokio::test(start_paused = true)]
    async fn each_failed_probe_doubles_the_wait_up_to_its_bound() {
        let breaker = CircuitBreaker::new(1, 10 * SECOND, 30 * SECOND);
        fail(&breaker);
        for wait in [10, 20, 30, 30] {
            assert_eq!(breaker.begin().unwrap_err().retry_in, wait * SECOND);
            sleep(wait * SECOND).await;
            fail(&breaker);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_makes_room_for_the_next() {
        let breaker = CircuitBreaker::new(1, SECOND, SECOND);
        fail(&breaker);
        sleep(SECOND).await;
        drop(breaker.begin().unwrap());
        breaker.begin().unwrap().succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_before_it_opened_has_no_say_afterwards() {
        let breaker = CircuitBreaker::new(1, SECOND, SECOND);
        let (early, late) = (breaker.begin().unwrap(), breaker.begin().unwrap());
        fail(&breaker);
        early.succeeded();
        assert_eq!(breaker.state(), BreakerState::Open);
        sleep(SECOND).await;
        let probe = breaker.begin().unwrap();
        late.failed();
        probe.succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
