//! The month that an instant belongs to, where somebody lives.

use domain::BudgetPeriod;
use jiff::{Timestamp, ToSpan, tz::TimeZone};

/// No time zone of this name is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("find the time zone {0:?}")]
pub struct UnknownTimeZone(pub String);

/// The budget period of an instant in the time zone of this IANA name: `2026-11`.
pub fn month_of(at: Timestamp, time_zone: &str) -> Result<BudgetPeriod, UnknownTimeZone> {
    let zone = TimeZone::get(time_zone).map_err(|_| UnknownTimeZone(time_zone.to_owned()))?;
    let local = at.to_zoned(zone);
    Ok(BudgetPeriod(format!("{:04}-{:02}", local.year(), local.month())))
}

/// When the month after this instant's begins, in the time zone of this IANA name.
pub fn next_month(at: Timestamp, time_zone: &str) -> Result<Timestamp, UnknownTimeZone> {
    let unknown = || UnknownTimeZone(time_zone.to_owned());
    let zone = TimeZone::get(time_zone).map_err(|_| unknown())?;
    let next = at.to_zoned(zone.clone()).date().first_of_month().checked_add(1.month());
    // Only the end of all calendars has no next month.
    let begins = next.and_then(|date| date.to_zoned(zone)).map_err(|_| unknown())?;
    Ok(begins.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_midnight_where_somebody_lives() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let month = |text: &str, zone: &str| month_of(at(text), zone).unwrap().0;
        assert_eq!(month("2026-10-31T23:30:00Z", "UTC"), "2026-10");
        assert_eq!(month("2026-10-31T23:30:00Z", "Europe/Berlin"), "2026-11");
        assert_eq!(month("2026-11-01T03:59:59Z", "America/New_York"), "2026-10");
        // An hour later than in summer: the clock goes back on this day.
        assert_eq!(month("2026-11-01T04:00:00Z", "America/New_York"), "2026-11");
        let next = |text: &str, zone: &str| next_month(at(text), zone).unwrap().to_string();
        assert_eq!(next("2026-10-31T23:30:00Z", "UTC"), "2026-11-01T00:00:00Z");
        assert_eq!(next("2026-10-31T23:30:00Z", "Europe/Berlin"), "2026-11-30T23:00:00Z");
        assert_eq!(next("2026-10-10T00:00:00Z", "America/New_York"), "2026-11-01T04:00:00Z");
        assert_eq!(month_of(at("2026-11-01T00:00:00Z"), "Mars/Olympus").unwrap_err().0, "Mars/Olympus");
    }
}
