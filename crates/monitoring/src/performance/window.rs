//! The durations of one stretch of time: a ring of slots, each a histogram, of which the oldest is used again.

use super::{Figures, Percentiles};
use hdrhistogram::Histogram;
use std::time::Duration;

/// Longer ones count as this long.
const MICROS_MAX: u64 = 6 * 3600 * 1_000_000;
/// Two digits: within a hundredth.
const DIGITS: u8 = 2;

#[derive(Debug)]
pub(super) struct Window {
    length: Duration,
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    /// Which of all slots since the beginning it is.
    number: u64,
    /// In microseconds; made when it is first needed.
    durations: Option<Histogram<u32>>,
}

impl Window {
    /// So many slots of this length.
    pub(super) fn new(slots: usize, length: Duration) -> Self {
        let slots = (0..slots).map(|_| Slot { number: 0, durations: None }).collect();
        Self { length, slots }
    }

    pub(super) fn record(&mut self, took: Duration, at: Duration) {
        let number = self.number(at);
        let count = self.slots.len() as u64;
        let Some(slot) = self.slots.get_mut(usize::try_from(number % count).unwrap_or_default()) else {
            return;
        };
        if slot.durations.is_none() {
            // The bounds are constants that make a histogram.
            slot.durations = Histogram::new_with_bounds(1, MICROS_MAX, DIGITS).ok();
        }
        let Some(durations) = &mut slot.durations else { return };
        if slot.number != number {
            durations.reset();
            slot.number = number;
        }
        durations.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn figures(&self, at: Duration) -> Figures {
        let number = self.number(at);
        let oldest = (number + 1).saturating_sub(self.slots.len() as u64);
        let Ok(mut all) = Histogram::<u64>::new_with_bounds(1, MICROS_MAX, DIGITS) else {
            return Figures::default();
        };
        let recent = self.slots.iter().filter(|slot| (oldest..=number).contains(&slot.number));
        for durations in recent.filter_map(|slot| slot.durations.as_ref()) {
            // Both have the same bounds, so it cannot be too small.
            let added = durations.iter_recorded();
            for value in added {
                all.saturating_record_n(value.value_iterated_to(), u64::from(value.count_at_value()));
            }
        }
        let begins = self.length.saturating_mul(u32::try_from(oldest).unwrap_or(u32::MAX));
        let covered = at.saturating_sub(begins).as_secs_f64();
        let count = all.len();
        let value = |quantile| Duration::from_micros(all.value_at_quantile(quantile));
        Figures {
            count,
            per_second: if covered > 0.0 { count as f64 / covered } else { 0.0 },
            percentiles: (count > 0).then(|| Percentiles {
                p50: value(0.5),
                p90: value(0.9),
                p95: value(0.95),
                p99: value(0.99),
                max: Duration::from_micros(all.max()),
            }),
        }
    }

    fn number(&self, at: Duration) -> u64 {
        u64::try_from(at.as_millis() / self.length.as_millis().max(1)).unwrap_or(u64::MAX)
    }
}
