//! Schedules: cron in a time zone.
//!
//! Where a clock goes forward, what was due in the hour that is missing runs once right after it. Where it goes back, a
//! fixed time runs once, and what runs every hour or oftener runs in both of them.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, tz::TimeZone};

/// Longest expression that is looked at.
const CRON_CHARS_MAX: usize = 255;

/// When something runs by itself.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
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
        let cron = parser.parse(cron).map_err(|error| ScheduleError::Cron(error.to_string()))?;
        Ok(Self { cron, zone })
    }

    /// As [`Schedule::parse`], and refuses what never comes.
    pub fn parse_coming(cron: &str, timezone: &str, now: Timestamp) -> Result<Self, ScheduleError> {
        let schedule = Self::parse(cron, timezone)?;
        schedule.next_after(now).map(|_| schedule).ok_or(ScheduleError::Never)
    }

    /// The first time after this instant; `None` if there is none.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&after.to_zoned(self.zone.clone()), false).ok()?;
        let next = next.timestamp();
        // It must move on, whatever a library makes of a clock that jumps.
        (next > after).then_some(next)
    }

    /// The last time up to this instant.
    #[must_use]
    pub fn last_until(&self, until: Timestamp) -> Option<Timestamp> {
        let last = self.cron.find_previous_occurrence(&until.to_zoned(self.zone.clone()), true).ok()?;
        Some(last.timestamp()).filter(|last| *last <= until)
    }

    /// The last time before this instant.
    #[must_use]
    pub fn last_before(&self, before: Timestamp) -> Option<Timestamp> {
        let last = self.cron.find_previous_occurrence(&before.to_zoned(self.zone.clone()), false).ok()?;
        Some(last.timestamp()).filter(|last| *last < before)
    }

    /// The next times after this instant, at most `limit`.
    #[must_use]
    pub fn upcoming(&self, after: Timestamp, limit: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(after), |last| self.next_after(*last)).take(limit).collect()
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
