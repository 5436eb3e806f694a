//! How often a caller may ask: two windows at once, counted here by GCRA, and together with the other servers on the
//! same database by telling each other every second.

mod key;
mod middleware;
mod shared;

pub use key::CallerKey;
pub use middleware::{limit, too_many};

use actix_web::http::header::{HeaderName, HeaderValue};
use governor::{
    Quota,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Callers without a name that are counted one by one; beyond that they share some counts. It bounds the memory that
/// strangers with many addresses can take.
const ADDRESSES_MAX: usize = 100_000;

type Limiter = governor::RateLimiter<
    CallerKey,
    DashMapStateStore<CallerKey>,
    MonotonicClock,
    StateInformationMiddleware,
>;

/// Counts how often callers ask.
pub struct RateLimiter {
    windows: [Window; 2],
    clock: MonotonicClock,
    /// What was let through since the other servers were told, when there may be some.
    untold: Option<Mutex<HashMap<CallerKey, u32>>>,
    is_crowded: AtomicBool,
    policy: HeaderValue,
}

/// How many requests in how long.
struct Window {
    name: &'static str,
    quota: u32,
    seconds: u64,
    limiter: Limiter,
}

/// Whether other servers count as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    Alone,
    Together,
}

/// What is left to a caller in one window.
#[derive(Debug, Clone, Copy, Default)]
struct Left {
    requests: u32,
    /// Until all of them are there again.
    reset_seconds: u64,
}

/// What came of a request.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Seconds to wait, if there were too many.
    pub retry_after_seconds: Option<u64>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl RateLimiter {
    /// Lets each caller ask so often.
    #[must_use]
    pub fn new(per_minute: NonZeroU32, per_hour: NonZeroU32, counting: Counting) -> Self {
        let windows = [Window::new("minute", per_minute, 60), Window::new("hour", per_hour, 3600)];
        let policy: Vec<String> =
            windows.iter().map(|of| format!("\"{}\";q={};w={}", of.name, of.quota, of.seconds)).collect();
        Self {
            windows,
            clock: MonotonicClock,
            untold: (counting == Counting::Together).then(Mutex::default),
            is_crowded: AtomicBool::new(false),
            policy: value(policy.join(", ")),
        }
    }

    /// Counts a request.
    pub fn count(&self, caller: CallerKey) -> Counted {
        let caller = if self.is_crowded.load(Ordering::Relaxed) { caller.in_a_crowd() } else { caller };
        let mut lefts = Vec::with_capacity(self.windows.len());
        let mut wait = Duration::ZERO;
        for window in &self.windows {
            // What the minute refuses is not counted in the hour, of which nothing is known then.
            if !wait.is_zero() {
                break;
            }
            let requests = match window.limiter.check_key(&caller) {
                Ok(state) => state.remaining_burst_capacity(),
                Err(refused) => {
                    wait = refused.wait_time_from(self.clock.now()).max(Duration::from_millis(1));
                    0
                }
            };
            let reset_seconds = window.refilled_in(window.quota - requests.min(window.quota));
            lefts.push((window, Left { requests, reset_seconds }));
        }
        if wait.is_zero() {
            self.note(caller);
        }
        let retry_after_seconds =
            (!wait.is_zero()).then(|| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        Counted { headers: self.headers(&lefts, retry_after_seconds), retry_after_seconds }
    }

    /// Counts what other servers let through. What a caller has not any more here, is not taken twice.
    fn charge(&self, caller: CallerKey, requests: u32) {
        for window in &self.windows {
            let mut owed = requests.min(window.quota);
            let mut step = owed;
            while let Some(some) = NonZeroU32::new(step.min(owed)) {
                match window.limiter.check_key_n(&caller, some) {
                    Ok(Ok(_)) => owed -= some.get(),
                    Ok(Err(_)) | Err(_) => step = some.get() / 2,
                }
            }
        }
    }

    fn note(&self, caller: CallerKey) {
        if let Some(untold) = &self.untold {
            let mut untold = untold.lock().unwrap_or_else(PoisonError::into_inner);
            let requests = untold.entry(caller).or_default();
            *requests = requests.saturating_add(1);
        }
    }

    /// Forgets those who have all of their requests again, and sees whether there are too many of the others.
    fn forget_idle(&self) {
        for window in &self.windows {
            window.limiter.retain_recent();
        }
        let callers = self.windows.iter().map(|window| window.limiter.len()).max();
        self.is_crowded.store(callers.is_some_and(|callers| callers > ADDRESSES_MAX), Ordering::Relaxed);
    }

    /// As draft-ietf-httpapi-ratelimit-headers has them, and in the three fields that came before, about the window that
    /// ends first.
    fn headers(&self, lefts: &[(&Window, Left)], refused: Option<u64>) -> Vec<(HeaderName, HeaderValue)> {
        let items: Vec<String> = lefts
            .iter()
            .map(|(of, left)| format!("\"{}\";r={};t={}", of.name, left.requests, left.reset_seconds))
            .collect();
        let tightest = lefts.iter().min_by_key(|(_, left)| left.requests);
        let (limit, left) = tightest.map_or((0, Left::default()), |(window, left)| (window.quota, *left));
        let field = HeaderName::from_static;
        vec![
            (field("ratelimit-policy"), self.policy.clone()),
            (field("ratelimit"), value(items.join(", "))),
            (field("ratelimit-limit"), HeaderValue::from(limit)),
            (field("ratelimit-remaining"), HeaderValue::from(left.requests)),
            (field("ratelimit-reset"), HeaderValue::from(refused.unwrap_or(left.reset_seconds))),
        ]
    }
}

impl Window {
    fn new(name: &'static str, quota: NonZeroU32, seconds: u64) -> Self {
        // None only for a rate beyond one in a nanosecond, which u32 requests in a minute are not.
        let each = Duration::from_secs(seconds) / quota.get();
        let rate = Quota::with_period(each).map_or(Quota::per_second(quota), |rate| rate.allow_burst(quota));
        let limiter = governor::RateLimiter::dashmap_with_clock(rate, MonotonicClock);
        Self { name, quota: quota.get(), seconds, limiter: limiter.with_middleware() }
    }

    /// Seconds until so many used requests are there again.
    fn refilled_in(&self, used: u32) -> u64 {
        (u64::from(used) * self.seconds).div_ceil(u64::from(self.quota))
    }
}

/// Digits, letters and quotes are a header's value.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::UserId;

    fn limiter(per_minute: u32, per_hour: u32) -> RateLimiter {
        let of = |quota| NonZeroU32::new(quota).unwrap();
        RateLimiter::new(of(per_minute), of(per_hour), Counting::Together)
    }

    fn header(counted: &Counted, name: &str) -> String {
        let found = counted.headers.iter().find(|(own, _)| own == name).unwrap();
        found.1.to_str().unwrap().to_owned()
    }

    #[test]
    fn each_caller_has_so_many_requests_and_is_told_how_many_are_left() {
        let limiter = limiter(3, 100);
        let (ada, bob) = (CallerKey::user(UserId::new()), CallerKey::user(UserId::new()));
        for left in [2, 1, 0] {
            let counted = limiter.count(ada);
            assert_eq!(counted.retry_after_seconds, None);
            assert_eq!(header(&counted, "ratelimit-remaining"), left.to_string());
            assert_eq!(header(&counted, "ratelimit-limit"), "3");
            assert_eq!(header(&counted, "ratelimit-policy"), "\"minute\";q=3;w=60, \"hour\";q=100;w=3600");
        }
        let refused = limiter.count(ada);
        let seconds = refused.retry_after_seconds.unwrap();
        assert!((1..=20).contains(&seconds), "{seconds}");
        assert_eq!(header(&refused, "ratelimit-remaining"), "0");
        assert_eq!(header(&refused, "ratelimit-reset"), seconds.to_string());
        // It was not asked of the hour, which has more.
        assert!(header(&refused, "ratelimit").starts_with("\"minute\";r=0;t="));
        assert!(!header(&refused, "ratelimit").contains("hour"), "{refused:?}");
        assert!(limiter.count(bob).retry_after_seconds.is_none());
    }

    #[test]
    fn the_longer_window_refuses_as_well() {
        let limiter = limiter(100, 2);
        let ada = CallerKey::user(UserId::new());
        let refused: Vec<_> = (0..4).map(|_| limiter.count(ada).retry_after_seconds.is_some()).collect();
        assert_eq!(refused, [false, false, true, true]);
    }

    #[test]
    fn what_others_let_through_is_counted_too_and_no_more_than_there_is() {
        let limiter = limiter(10, 1000);
        let ada = CallerKey::user(UserId::new());
        limiter.charge(ada, 7);
        assert_eq!(header(&limiter.count(ada), "ratelimit-remaining"), "2");
        limiter.charge(ada, 1_000_000);
        assert!(limiter.count(ada).retry_after_seconds.is_some());
    }

    #[test]
    fn strangers_in_a_crowd_share_counts_and_those_with_a_name_do_not() {
        let limiter = limiter(1000, 1000);
        limiter.is_crowded.store(true, Ordering::Relaxed);
        let address = |n: u32| CallerKey::address(Some(std::net::IpAddr::from(n.to_be_bytes())));
        for n in 0..20_000 {
            limiter.count(address(n));
        }
        for _ in 0..3000 {
            limiter.count(CallerKey::user(UserId::new()));
        }
        let callers = limiter.windows[1].limiter.len();
        assert!((3000..=3000 + 1024).contains(&callers), "{callers}");
    }
}
