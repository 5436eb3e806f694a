//! A clock that stands still until it is set.

use domain::Clock;
use jiff::{SignedDuration, Timestamp};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// A clock for tests; clones show the same time.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// A clock that shows this instant, cut to microseconds.
    #[must_use]
    pub fn at(instant: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(instant.as_microsecond())))
    }

    /// Shows this instant from now on.
    pub fn set(&self, instant: Timestamp) {
        self.0.store(instant.as_microsecond(), Ordering::SeqCst);
    }

    /// Moves on, or back, by this much and answers with the new time.
    pub fn advance(&self, by: SignedDuration) -> Timestamp {
        let by = i64::try_from(by.as_micros()).unwrap_or(0);
        from_micros(self.0.fetch_add(by, Ordering::SeqCst).saturating_add(by))
    }
}

impl Default for TestClock {
    /// Begins on 2026-01-01.
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(1_767_225_600_000_000)))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        from_micros(self.0.load(Ordering::SeqCst))
    }
}

fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_show_the_same_time() {
        let clock = TestClock::default();
        let other = clock.clone();
        let later = clock.advance(SignedDuration::from_secs(5));
        assert_eq!(other.now(), later);
        other.set(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    }
}
