//! Counting together: each server tells the others every second what it let through, and counts what they did.
//!
//! No request waits for that. A caller who asks several servers at once can so have more than one server would let
//! through: what the others let through in the last round or two, which is at most the quota of each of them once.

use super::{CallerKey, RateLimiter};
use domain::{
    Clock, ServerId,
    ports::{RateReport, RateReports},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::PoisonError,
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often servers tell each other.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);
/// Rounds between two looks at who need not be counted any more.
const ROUNDS_PER_SWEEP: u64 = 10;
/// How long a report is there to be read. Clocks of servers may be apart by less.
const REPORT_LIFETIME: SignedDuration = SignedDuration::from_secs(60);
/// Callers in one report. Whoever is beyond them asked least, and is told of in the next.
const REPORT_CALLERS_MAX: usize = 5000;

impl RateLimiter {
    /// Counts together with other servers, and forgets who is idle, until cancelled.
    pub async fn keep(
        &self,
        server: ServerId,
        reports: &dyn RateReports,
        clock: &dyn Clock,
        cancelled: CancellationToken,
    ) {
        let mut heard = HashSet::new();
        let mut ticks = interval(ROUND_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rounds = 0_u64;
        while cancelled.run_until_cancelled(ticks.tick()).await.is_some() {
            if rounds.is_multiple_of(ROUNDS_PER_SWEEP) {
                self.forget_idle();
            }
            rounds += 1;
            if self.untold.is_some() {
                self.exchange(server, reports, clock.now(), &mut heard).await;
            }
        }
    }

    /// One round. `heard` are the reports that were counted already.
    async fn exchange(
        &self,
        server: ServerId,
        reports: &dyn RateReports,
        now: Timestamp,
        heard: &mut HashSet<Uuid>,
    ) {
        let told = self.take_untold();
        let requests: Vec<_> =
            told.iter().map(|(caller, requests)| (caller.to_string(), *requests)).collect();
        let report = RateReport { id: Uuid::now_v7(), server, at: now, requests };
        let report = (!told.is_empty()).then_some(&report);
        match reports.exchange_reports(server, report, now - REPORT_LIFETIME).await {
            Ok(others) => {
                heard.retain(|id| others.iter().any(|report| report.id == *id));
                for report in others {
                    if heard.insert(report.id) {
                        self.charge_all(&report);
                    }
                }
            }
            Err(error) => {
                // Each counts by itself until it can be told.
                tracing::debug!(error = &error as &dyn std::error::Error, "requests are counted alone");
                self.put_back(told);
            }
        }
    }

    fn charge_all(&self, report: &RateReport) {
        for (caller, requests) in &report.requests {
            // A newer server may count callers that this one does not know.
            if let Ok(caller) = caller.parse() {
                self.charge(caller, *requests);
            }
        }
    }

    fn take_untold(&self) -> HashMap<CallerKey, u32> {
        let Some(untold) = &self.untold else { return HashMap::new() };
        let mut taken = mem::take(&mut *untold.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.len() > REPORT_CALLERS_MAX {
            let mut by_requests: Vec<_> = taken.into_iter().collect();
            by_requests.sort_unstable_by_key(|(_, requests)| std::cmp::Reverse(*requests));
            let rest = by_requests.split_off(REPORT_CALLERS_MAX);
            self.put_back(rest.into_iter().collect());
            taken = by_requests.into_iter().collect();
        }
        taken
    }

    /// Keeps what was not told, as far as it is not too much.
    fn put_back(&self, told: HashMap<CallerKey, u32>) {
        let Some(untold) = &self.untold else { return };
        let mut untold = untold.lock().unwrap_or_else(PoisonError::into_inner);
        for (caller, requests) in told {
            if untold.len() >= super::ADDRESSES_MAX {
                break;
            }
            let sum = untold.entry(caller).or_default();
            *sum = sum.saturating_add(requests);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::Counting;
    use domain::UserId;
    use std::num::NonZeroU32;
    use testkit::{MemoryStore, TestClock};

    fn limiter() -> RateLimiter {
        let quota = NonZeroU32::new(10).unwrap();
        RateLimiter::new(quota, quota, Counting::Together)
    }

    #[tokio::test]
    async fn servers_count_together_and_each_report_once() {
        let store = MemoryStore::default();
        let (one, other) = (limiter(), limiter());
        let (ids, now) = ([ServerId::new(), ServerId::new()], TestClock::default().now());
        let (mut heard_one, mut heard_other) = (HashSet::new(), HashSet::new());
        let ada = CallerKey::user(UserId::new());
        for _ in 0..6 {
            assert!(one.count(ada).retry_after_seconds.is_none());
        }
        for _ in 0..3 {
            one.exchange(ids[0], &store, now, &mut heard_one).await;
            other.exchange(ids[1], &store, now, &mut heard_other).await;
        }
        let admitted = (0..10).filter(|_| other.count(ada).retry_after_seconds.is_none()).count();
        assert_eq!(admitted, 4, "the other server let six through");
        other.exchange(ids[1], &store, now, &mut heard_other).await;
        one.exchange(ids[0], &store, now, &mut heard_one).await;
        assert!(one.count(ada).retry_after_seconds.is_some());
    }
}
