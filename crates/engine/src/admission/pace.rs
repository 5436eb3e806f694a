//! How long turns take, and so when somebody who was turned away should come back.

use crate::live::Pool;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What is said as long as no turn has ended here.
const UNKNOWN: Duration = Duration::from_secs(5);
/// Nobody is told to come back later than this: queues move in jumps.
const SECONDS_MAX: u64 = 300;
/// How much a new turn counts against all those before it.
const WEIGHT: f64 = 0.2;

/// A moving average of how long turns run, for each kind of session.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<Pool, Duration>>);

impl Pace {
    pub fn note(&self, pool: Pool, took: Duration) {
        let mut averages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        averages
            .entry(pool)
            .and_modify(|average| *average = average.mul_f64(1.0 - WEIGHT) + took.mul_f64(WEIGHT))
            .or_insert(took);
    }

    /// In how many seconds one of so many that run at a time will probably have ended.
    pub fn seconds(&self, pool: Pool, at_a_time: usize) -> u64 {
        let averages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = averages.get(&pool).copied().unwrap_or(UNKNOWN);
        let at_a_time = u32::try_from(at_a_time.max(1)).unwrap_or(u32::MAX);
        (turn / at_a_time).as_secs_f64().ceil().clamp(1.0, SECONDS_MAX as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_comes_back_when_one_has_probably_ended() {
        let pace = Pace::default();
        let (pool, other) = (Pool::Interactive, Pool::Background);
        assert_eq!((pace.seconds(pool, 1), pace.seconds(pool, 4)), (5, 2));
        pace.note(pool, Duration::from_secs(60));
        assert_eq!((pace.seconds(pool, 1), pace.seconds(pool, 4)), (60, 15));
        pace.note(pool, Duration::from_secs(10));
        assert_eq!(pace.seconds(pool, 1), 50);
        pace.note(other, Duration::from_millis(3));
        assert_eq!(pace.seconds(other, 50), 1);
        pace.note(other, Duration::from_secs(86_400));
        assert_eq!(pace.seconds(other, 1), SECONDS_MAX);
    }
}
