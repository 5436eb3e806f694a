//! The month that an instant belongs to, where somebody lives.

use domain::BudgetPeriod;
use jiff::{Timestamp, tz::TimeZone};

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
        assert_eq!(month_of(at("2026-11-01T00:00:00Z"), "Mars/Olympus").unwrap_err().0, "Mars/Olympus");
    }
}
