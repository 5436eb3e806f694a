//! Moments from now on, however far away: a host that never wants to stop waiting says `Duration::MAX`.

use std::time::Duration;

use tokio::time::Instant;

/// Farther away than any process lives, and near enough for every clock.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The moment this long after another.
pub(crate) fn after(since: Instant, wait: Duration) -> Instant {
    since + wait.min(NEVER)
}

/// The moment this long from now.
pub(crate) fn from_now(wait: Duration) -> Instant {
    after(Instant::now(), wait)
}
