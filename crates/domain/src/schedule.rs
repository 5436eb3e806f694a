//! Schedules: cron in a time zone.
//!
//! Where a clock goes forward, what was due in the hour that is missing runs once right after it. Where it goes back, a
//! fixed time runs once, and what runs every hour or oftener runs in both of them. As in Vixie's cron, times are fixed
//! unless the minute or the hour begins with `*`, however many they are.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};
use std::iter::successors;

/// Longest expression that is looked at.
const CRON_CHARS_MAX: usize = 255;

/// When something runs by itself.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
    /// Its times are of the day, and not of every hour or minute.
    is_fixed: bool,
}

/// What becomes of the runs of a schedule that nobody was there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MissedRuns {
    /// They are left out.
    Skip,
    /// The last one is made up for.
    #[default]
    Once,
    /// All are made up for, as far back as is reasonable.
    All,
}

/// Why something is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression makes no sense.
    #[error("read the cron expression: {0}")]
    Cron(String),
    /// No zone has this name.
    #[error("find the time zone {0:?}; IANA names are expected, such as Europe/Berlin or UTC")]
    TimeZone(String),
    /// There is no instant that fits, such as a 30th of February.
    #[error("find any time that fits the cron expression")]
    Never,
}

impl Schedule {
    /// Reads a cron expression of five fields (minute, hour, day of month, month, day of week; names, lists, ranges and
    /// steps, `@daily` and its like) and the IANA name of its zone.
    pub fn parse(cron: &str, timezone: &str) -> Result<Self, ScheduleError> {
        if cron.chars().count() > CRON_CHARS_MAX {
            return Err(ScheduleError::Cron(format!("it is longer than {CRON_CHARS_MAX} characters")));
        }
        let zone = TimeZone::get(timezone)
            .map_err(|_| ScheduleError::TimeZone(timezone.chars().take(64).collect()))?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let is_fixed = is_fixed(cron);
        let cron = parser.parse(cron).map_err(|error| ScheduleError::Cron(error.to_string()))?;
        Ok(Self { cron, zone, is_fixed })
    }

    /// As [`Schedule::parse`], and refuses what never comes.
    pub fn parse_coming(cron: &str, timezone: &str, now: Timestamp) -> Result<Self, ScheduleError> {
        let schedule = Self::parse(cron, timezone)?;
        schedule.next_after(now).map(|_| schedule).ok_or(ScheduleError::Never)
    }

    /// The first time after this instant; `None` if there is none.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        if self.is_fixed {
            return self.fixed_after(after).find(|next| *next > after);
        }
        let next = self.cron.find_next_occurrence(&after.to_zoned(self.zone.clone()), false).ok()?;
        let next = next.timestamp();
        // It must move on, whatever a library makes of a clock that jumps.
        (next > after).then_some(next)
    }

    /// The last time up to this instant.
    #[must_use]
    pub fn last_until(&self, until: Timestamp) -> Option<Timestamp> {
        if self.is_fixed {
            return self.fixed_last(until, |last| *last <= until);
        }
        let last = self.cron.find_previous_occurrence(&until.to_zoned(self.zone.clone()), true).ok()?;
        Some(last.timestamp()).filter(|last| *last <= until)
    }

    /// The last time before this instant.
    #[must_use]
    pub fn last_before(&self, before: Timestamp) -> Option<Timestamp> {
        if self.is_fixed {
            return self.fixed_last(before, |last| *last < before);
        }
        let last = self.cron.find_previous_occurrence(&before.to_zoned(self.zone.clone()), false).ok()?;
        Some(last.timestamp()).filter(|last| *last < before)
    }

    /// The next times after this instant, at most `limit`.
    #[must_use]
    pub fn upcoming(&self, after: Timestamp, limit: usize) -> Vec<Timestamp> {
        successors(self.next_after(after), |last| self.next_after(*last)).take(limit).collect()
    }

    /// The instants of the fixed times after that of this clock. Some may be over: a clock that went back shows again what
    /// it has shown.
    fn fixed_after(&self, clock: Timestamp) -> impl Iterator<Item = Timestamp> {
        let next = |from: &DateTime| {
            let from = from.to_zoned(TimeZone::UTC).ok()?;
            Some(self.cron.find_next_occurrence(&from, false).ok()?.datetime())
        };
        let times = successors(next(&self.zone.to_datetime(clock)), move |last| next(last));
        times.map_while(|time| self.instant_of(time))
    }

    /// The last instant of a fixed time that is early enough, of those that this clock may have shown.
    fn fixed_last(
        &self,
        clock: Timestamp,
        is_early_enough: impl Fn(&Timestamp) -> bool,
    ) -> Option<Timestamp> {
        let shown_again = self.fixed_after(clock).take_while(&is_early_enough).last();
        let previous = |until: &DateTime, inclusive| {
            let until = until.to_zoned(TimeZone::UTC).ok()?;
            Some(self.cron.find_previous_occurrence(&until, inclusive).ok()?.datetime())
        };
        let times =
            successors(previous(&self.zone.to_datetime(clock), true), move |last| previous(last, false));
        shown_again.or_else(|| times.map_while(|time| self.instant_of(time)).find(is_early_enough))
    }

    /// When clocks of the zone show this time first, or right after they leave it out.
    fn instant_of(&self, time: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(time).ok()
            }
            AmbiguousOffset::Gap { after, .. } => {
                let before_the_jump = after.to_timestamp(time).ok()?;
                Some(self.zone.following(before_the_jump).next()?.timestamp())
            }
        }
    }
}

/// Whether neither the minute nor the hour is any.
fn is_fixed(cron: &str) -> bool {
    match cron.trim().strip_prefix('@') {
        Some(name) => !name.eq_ignore_ascii_case("hourly"),
        None => !cron.split_whitespace().take(2).any(|field| field.starts_with('*')),
    }
}

impl MissedRuns {
    /// The word for it in the settings.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "skip" => Some(Self::Skip),
            "once" => Some(Self::Once),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn times(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(cron, zone).unwrap();
        schedule.upcoming(at(after), count).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_time_of_day_is_meant_in_its_zone() {
        assert_eq!(
            times("30 9 * * MON-FRI", "Europe/Berlin", "2026-01-02T12:00:00Z", 2),
            ["2026-01-05T08:30:00Z", "2026-01-06T08:30:00Z"]
        );
    }

    #[test]
    fn the_hour_that_is_missing_runs_once_and_the_one_that_comes_twice_too() {
        // 2026-03-29: 02:00 becomes 03:00.
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        // 2026-10-25: 03:00 becomes 02:00.
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
    }

    #[test]
    fn several_fixed_times_are_as_fixed_as_one() {
        assert_eq!(
            times("30 2,14 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 4),
            ["2026-03-28T13:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T12:30:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            times("30 2,14 * * *", "Europe/Berlin", "2026-10-24T13:00:00Z", 3),
            ["2026-10-25T00:30:00Z", "2026-10-25T13:30:00Z", "2026-10-26T01:30:00Z"]
        );
        // Two in the missing hour, and one right after it: one run for all that is due at an instant.
        assert_eq!(
            times("0,30 1-3 * * *", "Europe/Berlin", "2026-03-28T23:00:00Z", 5),
            [
                "2026-03-29T00:00:00Z",
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-29T23:00:00Z"
            ]
        );
        assert_eq!(
            times("0,30 1-3 * * *", "Europe/Berlin", "2026-10-24T22:59:00Z", 6),
            [
                "2026-10-24T23:00:00Z",
                "2026-10-24T23:30:00Z",
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T02:00:00Z",
                "2026-10-25T02:30:00Z"
            ]
        );
    }

    #[test]
    fn what_runs_every_hour_runs_in_both_that_come_twice_and_not_in_one_that_is_missing() {
        for cron in ["30 * * * *", "@HOURLY", "*/30 * * * *", "*/15 2 * * *", "30 */2 * * *"] {
            assert!(!is_fixed(cron), "{cron}");
        }
        assert_eq!(
            times("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
        );
        assert_eq!(
            times("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"]
        );
    }

    #[test]
    fn wherever_one_looks_from_the_times_are_the_same() {
        let crons = ["30 2 * * *", "30 2,14 * * *", "0,20,40 0-4 * * *", "0 2,3 * * SUN", "@daily"];
        // Half an hour at Lord Howe; a whole day that was left out at Samoa.
        let zones = [
            ("Europe/Berlin", "2026-03-28T00:00:00Z"),
            ("Europe/Berlin", "2026-10-24T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-03T00:00:00Z"),
            ("Pacific/Apia", "2011-12-29T00:00:00Z"),
        ];
        for (cron, (zone, from)) in crons.into_iter().flat_map(|cron| zones.map(|zone| (cron, zone))) {
            let (schedule, from) = (Schedule::parse(cron, zone).unwrap(), at(from));
            let ticks = schedule.upcoming(from - jiff::SignedDuration::from_hours(24 * 14), 500);
            assert!(ticks.is_sorted_by(|one, next| one < next));
            for minutes in (0..3 * 24 * 60).step_by(15) {
                let now = from + jiff::SignedDuration::from_mins(minutes);
                let said = (schedule.last_before(now), schedule.last_until(now), schedule.next_after(now));
                let last = |is_past: &dyn Fn(&Timestamp) -> bool| {
                    ticks.iter().copied().take_while(|tick| is_past(tick)).last()
                };
                let next = ticks.iter().copied().find(|tick| *tick > now);
                let known = (last(&|tick| *tick < now), last(&|tick| *tick <= now), next);
                assert_eq!(said, known, "{cron} in {zone} at {now}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |cron: &str| matches!(Schedule::parse(cron, "UTC"), Err(ScheduleError::Cron(_)));
        for cron in ["", "* * * *", "0 * * * * *", "61 * * * *", "* * * FOO *", "a b c d e"] {
            assert!(refused(cron), "{cron}");
        }
        assert!(matches!(Schedule::parse("* * * * *", "Mars/Base"), Err(ScheduleError::TimeZone(_))));
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!(Schedule::parse_coming("0 0 30 2 *", "UTC", now).err(), Some(ScheduleError::Never));
    }
}
