//! Settings and figures of a pool of spares.

use std::{path::PathBuf, time::Duration};

use crate::setters::setters;

/// How a pool works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SpareSettings {
    /// Where spares wait: a directory of the pool's own, made when it is missing, in which and above which
    /// nothing of a project lies.
    pub parking: PathBuf,
    /// Spares kept ready per profile.
    pub size: usize,
    /// Spares that may be starting at once, over all profiles. Starting one takes about 0.5 s of CPU time.
    pub starting_max: usize,
    /// Wait after a claim before the spare that replaces it is started. The start would take the processors
    /// from the agent that was just handed out, in the half second in which it is waited for most. Of several
    /// claims it is counted from the first, so it puts nothing off for longer.
    pub refill_delay: Duration,
    /// Profiles kept; the one that was not claimed from for longest gives way to a new one.
    pub profiles_max: usize,
    /// A spare older than this is replaced, so that what it read at its start does not grow stale.
    pub age_max: Duration,
    /// Wait for a spare to be claimed, before it is killed and an agent started instead.
    pub claim_timeout: Duration,
    /// Wait after a spare that could not be started; it doubles with each further one.
    pub retry_delay: Duration,
    /// The longest such wait.
    pub retry_delay_max: Duration,
}

/// What there is in a pool and what was. Counts only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpareStats {
    /// Spares that could be claimed now.
    pub ready: usize,
    /// Spares being started.
    pub starting: usize,
    /// Claims that got a spare.
    pub claimed: u64,
    /// Claims for which an agent was started.
    pub cold: u64,
    /// Spares that grew too old, or whose profile gave way to another.
    pub discarded_aged: u64,
    /// Spares that died while they waited.
    pub discarded_died: u64,
    /// Spares that did not take a claim.
    pub discarded_refused: u64,
    /// Spares that could not be started.
    pub failed: u64,
}

impl SpareSettings {
    /// Two spares per profile, for four profiles, two starting at once; each replaced half a second after it
    /// is claimed, or after half an hour.
    pub fn new(parking: impl Into<PathBuf>) -> Self {
        Self {
            parking: parking.into(),
            size: 2,
            starting_max: 2,
            refill_delay: Duration::from_millis(500),
            profiles_max: 4,
            age_max: Duration::from_secs(30 * 60),
            claim_timeout: Duration::from_secs(5),
            retry_delay: Duration::from_secs(1),
            retry_delay_max: Duration::from_secs(60),
        }
    }
}

setters! { SpareSettings:
    with_size, size: usize;
    with_starting_max, starting_max: usize;
    with_refill_delay, refill_delay: Duration;
    with_profiles_max, profiles_max: usize;
    with_age_max, age_max: Duration;
    with_claim_timeout, claim_timeout: Duration;
    with_retry_delay, retry_delay: Duration;
    with_retry_delay_max, retry_delay_max: Duration;
}
