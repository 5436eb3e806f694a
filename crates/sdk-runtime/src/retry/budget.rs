//! The budget of retries: a bucket that work fills and retries empty.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What a retry costs, in the bucket's units.
const RETRY_COST: u64 = 1000;

/// Keeps retries a fraction of the work. Each first attempt puts a fraction of a retry into the bucket, as
/// does time, slowly, so that little work is not left without any; each retry takes a whole one out.
/// Clones share the bucket.
#[derive(Debug, Clone)]
pub struct RetryBudget(Arc<Bucket>);

#[derive(Debug)]
struct Bucket {
    deposit: u64,
    per_second: u64,
    most: u64,
    level: Mutex<(u64, Instant)>,
}

impl RetryBudget {
    /// One retry per `percent`-th part of the first attempts, and `per_minute` retries beside; at most
    /// `burst` at once. It begins full.
    pub fn new(percent: u32, per_minute: u32, burst: u32) -> Self {
        let most = u64::from(burst).saturating_mul(RETRY_COST);
        Self(Arc::new(Bucket {
            deposit: u64::from(percent).saturating_mul(RETRY_COST) / 100,
            per_second: u64::from(per_minute).saturating_mul(RETRY_COST) / 60,
            most,
            level: Mutex::new((most, Instant::now())),
        }))
    }

    /// Notes a first attempt.
    pub fn deposit(&self) {
        self.with_level(|level| *level = level.saturating_add(self.0.deposit).min(self.0.most));
    }

    /// Takes one retry out, if there is one.
    pub fn withdraw(&self) -> bool {
        self.with_level(|level| {
            let left = level.checked_sub(RETRY_COST);
            *level = left.unwrap_or(*level);
            left.is_some()
        })
    }

    fn with_level<T>(&self, change: impl FnOnce(&mut u64) -> T) -> T {
        let mut guard = self.0.level.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, filled_at) = &mut *guard;
        // Whole milliseconds, so that what is cut off stays for the next time.
        let passed = u64::try_from(filled_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let dripped = passed.saturating_mul(self.0.per_second) / 1000;
        if dripped > 0 || *level >= self.0.most {
            *filled_at += Duration::from_millis(passed);
            *level = level.saturating_add(dripped).min(self.0.most);
        }
        change(level)
    }
}

impl Default for RetryBudget {
    /// A fifth of the work, ten a minute beside, ten at once.
    fn default() -> Self {
        Self::new(20, 10, 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_and_time_fill_what_retries_empty() {
        let budget = RetryBudget::new(20, 6, 2);
        assert!(budget.withdraw() && budget.withdraw());
        assert!(!budget.withdraw(), "a burst is bounded");
        for _ in 0..4 {
            budget.deposit();
        }
        assert!(!budget.withdraw(), "four fifths are not one");
        budget.deposit();
        assert!(budget.withdraw());
        tokio::time::sleep(Duration::from_millis(10_001)).await;
        assert!(budget.clone().withdraw(), "six a minute");
        assert!(!budget.withdraw());
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(budget.withdraw() && budget.withdraw() && !budget.withdraw(), "never more than the burst");
    }
}
