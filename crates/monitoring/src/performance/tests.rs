//! Windows on a clock of their own.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn near(found: Duration, expected: Duration) {
    let off = found.abs_diff(expected).as_secs_f64() / expected.as_secs_f64();
    assert!(off <= 0.01, "{found:?} is not {expected:?}");
}

#[test]
fn percentiles_are_those_of_what_was_recorded() {
    let tracker = PerformanceTracker::default();
    for n in 1..=1000 {
        tracker.record_at(Activity::Tool, millis(n), SECOND);
    }
    let [minute, five, hour] = tracker.report_at(2 * SECOND).of(Activity::Tool);
    assert_eq!(minute.count, 1000);
    assert_eq!(minute.per_second, 500.0);
    let seen = minute.percentiles.unwrap();
    near(seen.p50, millis(500));
    near(seen.p90, millis(900));
    near(seen.p95, millis(950));
    near(seen.p99, millis(990));
    near(seen.max, millis(1000));
    assert_eq!((five, hour), (minute, minute), "the server runs for two seconds");
    assert_eq!(tracker.report_at(2 * SECOND).of(Activity::Hook), [Figures::default(); 3]);
}

#[test]
fn what_is_older_than_a_window_is_not_in_it() {
    let tracker = PerformanceTracker::default();
    tracker.record_at(Activity::Query, millis(7), Duration::ZERO);
    let counts =
        |at: u64| tracker.report_at(Duration::from_secs(at)).of(Activity::Query).map(|figures| figures.count);
    assert_eq!(counts(59), [1, 1, 1]);
    assert_eq!(counts(60), [0, 1, 1]);
    assert_eq!(counts(299), [0, 1, 1]);
    assert_eq!(counts(300), [0, 0, 1]);
    assert_eq!(counts(3599), [0, 0, 1]);
    assert_eq!(counts(3600), [0, 0, 0]);
    // The slot is used again, and what was in it is gone.
    tracker.record_at(Activity::Query, millis(9), Duration::from_secs(3600));
    assert_eq!(counts(3600), [1, 1, 1]);
}

#[test]
fn throughput_is_over_the_time_that_was_looked_at() {
    let tracker = PerformanceTracker::default();
    for second in 0..7200 {
        tracker.record_at(Activity::Hook, millis(1), Duration::from_secs(second));
    }
    for figures in tracker.report_at(Duration::from_secs(7200)).of(Activity::Hook) {
        assert!((figures.per_second - 1.0).abs() < 0.1, "{figures:?}");
    }
}

#[test]
fn what_takes_for_ever_or_no_time_is_counted() {
    let tracker = PerformanceTracker::default();
    for took in [Duration::ZERO, Duration::MAX] {
        tracker.record_at(Activity::Tool, took, SECOND);
    }
    let [minute, ..] = tracker.report_at(SECOND).of(Activity::Tool);
    assert_eq!(minute.count, 2);
    near(minute.percentiles.unwrap().max, Duration::from_secs(6 * 3600));
}
