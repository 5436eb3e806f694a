//! Hours, days, weeks and months as they are where somebody lives.

use super::UnknownTimeZone;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// How long a stretch of time is that costs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Hourly,
    Daily,
    /// From Monday on, as the ISO has it.
    Weekly,
    Monthly,
}

/// From one instant on and until before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// The calendar does not reach as far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("find this time in the calendar")]
pub struct BeyondCalendar;

impl From<jiff::Error> for BeyondCalendar {
    fn from(_: jiff::Error) -> Self {
        Self
    }
}

impl Period {
    /// Every period, the shortest first.
    pub const ALL: [Self; 4] = [Self::Hourly, Self::Daily, Self::Weekly, Self::Monthly];

    /// The word for it on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// The one of this length that holds an instant, by the clocks of this zone.
    ///
    /// Days, weeks and months begin at the first instant of their first day, so one in which clocks are changed is an
    /// hour shorter or longer. An hour is sixty minutes and begins when the minute hand stands at the top.
    pub fn around(self, at: Timestamp, zone: &TimeZone) -> Result<Stretch, BeyondCalendar> {
        let local = at.to_zoned(zone.clone());
        let today = local.date();
        let (first, next) = match self {
            Self::Hourly => {
                let past = SignedDuration::from_mins(local.minute().into())
                    + SignedDuration::from_secs(local.second().into())
                    + SignedDuration::from_nanos(local.subsec_nanosecond().into());
                let from = at.checked_sub(past)?;
                return Ok(Stretch { from, until: from.checked_add(SignedDuration::from_hours(1))? });
            }
            Self::Daily => (today, today.tomorrow()?),
            Self::Weekly => {
                let weekday = i64::from(today.weekday().to_monday_zero_offset());
                let monday = today.checked_sub(days(weekday))?;
                (monday, monday.checked_add(days(7))?)
            }
            Self::Monthly => (today.first_of_month(), today.last_of_month().tomorrow()?),
        };
        Ok(Stretch { from: begin(first, zone)?, until: begin(next, zone)? })
    }
}

/// The zone of this IANA name.
pub fn zone(name: &str) -> Result<TimeZone, UnknownTimeZone> {
    let unknown = || UnknownTimeZone(name.to_owned());
    let zone = TimeZone::get(name).map_err(|_| unknown())?;
    if zone.is_unknown() || zone.iana_name().is_none() { Err(unknown()) } else { Ok(zone) }
}

/// A zone's name as the IANA spells it.
pub fn zone_name(name: &str) -> Result<String, UnknownTimeZone> {
    let zone = zone(name)?;
    Ok(zone.iana_name().unwrap_or(name).to_owned())
}

/// Days from an instant until the end of its month by the clocks of this zone, the present one included: 1 on the last.
pub(crate) fn days_left(at: Timestamp, zone: &TimeZone) -> u8 {
    let today = at.to_zoned(zone.clone()).date();
    (today.days_in_month() - today.day() + 1).unsigned_abs()
}

/// The day that an instant is on.
pub(crate) fn day_of(at: Timestamp, zone: &TimeZone) -> Date {
    at.to_zoned(zone.clone()).date()
}

fn begin(day: Date, zone: &TimeZone) -> Result<Timestamp, BeyondCalendar> {
    Ok(day.to_zoned(zone.clone())?.timestamp())
}

fn days(count: i64) -> jiff::Span {
    jiff::Span::new().days(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(period: Period, at: &str, name: &str) -> (String, String) {
        let found = period.around(at.parse().unwrap(), &zone(name).unwrap()).unwrap();
        (found.from.to_string(), found.until.to_string())
    }

    #[test]
    fn stretches_are_those_of_the_calendar_where_somebody_lives() {
        use Period::{Daily, Hourly, Monthly, Weekly};
        for (period, at, zone, from, until) in [
            (Hourly, "2026-11-26T10:59:59.999999Z", "UTC", "2026-11-26T10:00:00Z", "2026-11-26T11:00:00Z"),
            (Hourly, "2026-11-26T10:00:00Z", "UTC", "2026-11-26T10:00:00Z", "2026-11-26T11:00:00Z"),
            // The clocks of Kathmandu are three quarters of an hour ahead of full hours.
            (
                Hourly,
                "2026-11-26T10:20:00Z",
                "Asia/Kathmandu",
                "2026-11-26T10:15:00Z",
                "2026-11-26T11:15:00Z",
            ),
            (Hourly, "2026-11-26T10:20:00Z", "Asia/Kolkata", "2026-11-26T09:30:00Z", "2026-11-26T10:30:00Z"),
            // The hour that comes twice is two hours.
            (Hourly, "2026-10-25T00:30:00Z", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
            (Hourly, "2026-10-25T01:30:00Z", "Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"),
            (Daily, "2026-11-26T23:30:00Z", "Europe/Berlin", "2026-11-26T23:00:00Z", "2026-11-27T23:00:00Z"),
            // 23 hours, 25 hours.
            (Daily, "2026-03-29T12:00:00Z", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            (Daily, "2026-10-25T12:00:00Z", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            (
                Daily,
                "2026-11-01T12:00:00Z",
                "America/New_York",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
            ),
            // A day that begins at one o'clock, because midnight is left out.
            (Daily, "2026-04-24T12:00:00Z", "Africa/Cairo", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
            (Daily, "2024-02-29T12:00:00Z", "UTC", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
            (Weekly, "2026-11-26T12:00:00Z", "UTC", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            // A Monday, and a Sunday of the week before.
            (Weekly, "2026-11-23T00:00:00Z", "UTC", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (Weekly, "2026-11-22T23:59:59Z", "UTC", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Weekly, "2026-01-01T12:00:00Z", "UTC", "2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z"),
            (Weekly, "2026-10-25T12:00:00Z", "Europe/Berlin", "2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z"),
            (Monthly, "2026-11-30T23:59:59Z", "UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            (Monthly, "2026-12-31T23:30:00Z", "UTC", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            (
                Monthly,
                "2026-12-31T23:30:00Z",
                "Europe/Berlin",
                "2026-12-31T23:00:00Z",
                "2027-01-31T23:00:00Z",
            ),
            (Monthly, "2024-02-29T12:00:00Z", "UTC", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            (Monthly, "2023-02-28T12:00:00Z", "UTC", "2023-02-01T00:00:00Z", "2023-03-01T00:00:00Z"),
            // Clocks are changed within it.
            (
                Monthly,
                "2026-10-10T12:00:00Z",
                "Europe/Berlin",
                "2026-09-30T22:00:00Z",
                "2026-10-31T23:00:00Z",
            ),
            (
                Monthly,
                "2026-11-01T10:00:00Z",
                "Pacific/Kiritimati",
                "2026-10-31T10:00:00Z",
                "2026-11-30T10:00:00Z",
            ),
        ] {
            let found = stretch(period, at, zone);
            assert_eq!(
                (found.0.as_str(), found.1.as_str()),
                (from, until),
                "{} {at} {zone}",
                period.as_str()
            );
        }
    }

    #[test]
    fn every_instant_is_in_its_stretch_and_stretches_meet() {
        let zones = ["UTC", "Europe/Berlin", "America/St_Johns", "Africa/Cairo", "Australia/Adelaide"];
        for name in zones {
            let zone = zone(name).unwrap();
            let mut at: Timestamp = "2025-12-20T00:00:00Z".parse().unwrap();
            while at < "2027-01-10T00:00:00Z".parse::<Timestamp>().unwrap() {
                for period in Period::ALL {
                    let found = period.around(at, &zone).unwrap();
                    assert!(found.from <= at && at < found.until, "{name} {at} {found:?}");
                    let next = period.around(found.until, &zone).unwrap();
                    assert_eq!(next.from, found.until, "{name} {at} {}", period.as_str());
                }
                at += SignedDuration::from_mins(7 * 60 + 13);
            }
        }
    }

    #[test]
    fn what_is_beyond_the_calendar_is_an_error() {
        for period in Period::ALL {
            assert_eq!(period.around(Timestamp::MAX, &TimeZone::UTC), Err(BeyondCalendar));
        }
        assert!(Period::Weekly.around(Timestamp::MIN, &TimeZone::UTC).is_err());
    }

    #[test]
    fn zones_have_names_of_the_iana_and_are_spelled_as_there() {
        assert_eq!(zone_name("europe/berlin").unwrap(), "Europe/Berlin");
        assert_eq!(zone_name("utc").unwrap(), "UTC");
        for name in
            ["", "Mars/Olympus", "+02:00", "CET-1CEST", "Etc/Unknown", "../etc/passwd", "Europe/Berlin\n"]
        {
            assert_eq!(zone_name(name), Err(UnknownTimeZone(name.to_owned())));
        }
    }

    #[test]
    fn the_last_day_of_a_month_is_one_day() {
        let left = |at: &str, name: &str| days_left(at.parse().unwrap(), &zone(name).unwrap());
        assert_eq!(left("2026-11-30T12:00:00Z", "UTC"), 1);
        assert_eq!(left("2026-11-30T23:30:00Z", "Europe/Berlin"), 31);
        assert_eq!(left("2024-02-01T00:00:00Z", "UTC"), 29);
    }
}
