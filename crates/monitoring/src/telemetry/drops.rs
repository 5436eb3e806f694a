//! What of telemetry was lost on its way out: counted by signal, and said once in a while.

use domain::ports::TelemetrySignal;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Between two lines about the same signal, however much is lost.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Counts of lost spans, log records and metric points; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Drops(Arc<[OfSignal; 3]>);

#[derive(Debug, Default)]
struct OfSignal {
    count: AtomicU64,
    /// When it was last said, and how many had been lost then.
    said: Mutex<Option<(Instant, u64)>>,
}

impl Drops {
    /// How much of this signal was lost since the start.
    #[must_use]
    pub fn of(&self, signal: TelemetrySignal) -> u64 {
        self.at(signal).count.load(Ordering::Relaxed)
    }

    /// Notes a loss. The reason is a fixed phrase that completes "telemetry was dropped: …".
    pub(crate) fn add(&self, signal: TelemetrySignal, count: u64, reason: &'static str) {
        if count == 0 {
            return;
        }
        let of_signal = self.at(signal);
        let total = of_signal.count.fetch_add(count, Ordering::Relaxed) + count;
        let mut said = of_signal.said.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_due, before) = match *said {
            None => (true, 0),
            Some((at, before)) => (at.elapsed() >= SAID_EVERY, before),
        };
        if is_due {
            *said = Some((Instant::now(), total));
            drop(said);
            let signal = signal.as_str();
            // Under a target of its own, which is not exported: a loss must not make the next one.
            tracing::warn!(
                target: super::OWN_TARGET,
                signal,
                dropped = total - before,
                total,
                reason,
                "telemetry was dropped"
            );
        }
    }

    fn at(&self, signal: TelemetrySignal) -> &OfSignal {
        &self.0[match signal {
            TelemetrySignal::Traces => 0,
            TelemetrySignal::Metrics => 1,
            TelemetrySignal::Logs => 2,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_by_signal_and_clones_share_them() {
        let drops = Drops::default();
        let shared = drops.clone();
        drops.add(TelemetrySignal::Logs, 2, "the queue was full");
        shared.add(TelemetrySignal::Logs, 3, "the queue was full");
        shared.add(TelemetrySignal::Traces, 0, "the queue was full");
        let counts = TelemetrySignal::ALL.map(|signal| drops.of(signal));
        assert_eq!(counts, [0, 0, 5]);
    }
}
