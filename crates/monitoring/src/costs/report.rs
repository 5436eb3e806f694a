//! What was spent in a stretch of time, in the ways people ask for it.

use super::{CostError, CostTracker, NOBODYS_ZONE, Period, Stretch, period};
use domain::{
    MicroUsd, Session, SessionId, UserId,
    cost::{Activity, CostKey, CostQuery, CostScope, CostSum},
};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use std::collections::BTreeMap;

/// Models, sessions and tools that a report names at most; those that cost most.
pub const NAMED_MAX: u32 = 100;
const QUARTER: SignedDuration = SignedDuration::from_mins(15);

/// What a report has beside its sums and its models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breakdown {
    pub by_session: bool,
    pub by_tool: bool,
    pub by_day: bool,
}

/// Which stretch of time is asked about, and in which detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CostAsked {
    pub period: Period,
    /// The period that holds this instant; `None`: the present one.
    pub at: Option<Timestamp>,
    pub breakdown: Breakdown,
}

/// What was spent. The parts are read one after the other, so those of a time that is not over may differ by what was
/// spent between two looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostReport {
    pub stretch: Stretch,
    /// By whose clocks days are told apart.
    pub time_zone: String,
    pub sum: CostSum,
    pub activity: Activity,
    /// The highest cost first, as in all parts but the days.
    pub by_model: Vec<(String, CostSum)>,
    /// `None` stands for sessions that were removed.
    pub by_session: Option<Vec<(Option<SessionId>, CostSum)>>,
    /// `None` stands for requests that called no tool.
    pub by_tool: Option<Vec<(Option<String>, CostSum)>>,
    /// Days on which something was spent, the oldest first.
    pub by_day: Option<Vec<(Date, CostSum)>>,
}

impl CostReport {
    /// What a session cost on average, rounded to the nearest; nothing if there was none.
    #[must_use]
    pub fn cost_per_session(&self) -> MicroUsd {
        let sessions = i64::try_from(self.activity.sessions).unwrap_or(i64::MAX);
        match sessions {
            0 => MicroUsd::ZERO,
            some => MicroUsd(self.sum.cost.0.saturating_add(some / 2) / some),
        }
    }
}

impl CostTracker {
    /// What a user spent in a period of their time zone.
    pub async fn user_report(&self, user: UserId, asked: &CostAsked) -> Result<CostReport, CostError> {
        let time_zone = self.time_zone_of(user).await?;
        self.period_report(CostScope::User(user), &time_zone, asked).await
    }

    /// What those who are in a team now spent in a period of UTC.
    pub async fn team_report(&self, team: String, asked: &CostAsked) -> Result<CostReport, CostError> {
        self.period_report(CostScope::Team(team), NOBODYS_ZONE, asked).await
    }

    /// What everybody spent in a period of UTC.
    pub async fn total_report(&self, asked: &CostAsked) -> Result<CostReport, CostError> {
        self.period_report(CostScope::All, NOBODYS_ZONE, asked).await
    }

    /// What a session cost so far, its days told apart by its owner's clocks.
    pub async fn session_report(
        &self,
        session: &Session,
        breakdown: Breakdown,
    ) -> Result<CostReport, CostError> {
        let time_zone = self.time_zone_of(session.user_id).await?;
        // All of the ledger: a clock that was put back may have left requests from before the session.
        let always = Stretch { from: Timestamp::MIN, until: Timestamp::MAX };
        let report = self.report(CostScope::Session(session.id), always, &time_zone, breakdown).await?;
        let shown = Stretch { from: session.created_at, until: self.clock.now().max(session.created_at) };
        Ok(CostReport { stretch: shown, ..report })
    }

    async fn period_report(
        &self,
        scope: CostScope,
        time_zone: &str,
        asked: &CostAsked,
    ) -> Result<CostReport, CostError> {
        let at = asked.at.unwrap_or_else(|| self.clock.now());
        let stretch = asked.period.around(at, &period::zone(time_zone)?)?;
        self.report(scope, stretch, time_zone, asked.breakdown).await
    }

    async fn time_zone_of(&self, user: UserId) -> Result<String, CostError> {
        let user = self.stores.accounts.user(user).await?.ok_or(CostError::NotFound("user"))?;
        Ok(user.time_zone)
    }

    async fn report(
        &self,
        scope: CostScope,
        stretch: Stretch,
        time_zone: &str,
        breakdown: Breakdown,
    ) -> Result<CostReport, CostError> {
        let zone = period::zone(time_zone)?;
        let query = CostQuery { scope, from: stretch.from, until: stretch.until };
        let costs = &self.stores.costs;
        let sum = costs.cost(&query).await?;
        let activity = costs.activity(&query).await?;
        let by_model = costs.costs_by(&query, CostKey::Model, NAMED_MAX).await?;
        let by_session = match breakdown.by_session {
            true => Some(sessions(costs.costs_by(&query, CostKey::Session, NAMED_MAX).await?)),
            false => None,
        };
        let by_tool = match breakdown.by_tool {
            true => Some(tools(costs.costs_by(&query, CostKey::Tool, NAMED_MAX).await?)),
            false => None,
        };
        let by_day = match breakdown.by_day {
            true => Some(days(costs.costs_by(&query, CostKey::QuarterHour, u32::MAX).await?, &zone)),
            false => None,
        };
        let time_zone = time_zone.to_owned();
        Ok(CostReport { stretch, time_zone, sum, activity, by_model, by_session, by_tool, by_day })
    }
}

fn sessions(sums: Vec<(String, CostSum)>) -> Vec<(Option<SessionId>, CostSum)> {
    sums.into_iter().map(|(key, sum)| (key.parse().ok(), sum)).collect()
}

fn tools(sums: Vec<(String, CostSum)>) -> Vec<(Option<String>, CostSum)> {
    sums.into_iter().map(|(key, sum)| ((!key.is_empty()).then_some(key), sum)).collect()
}

/// Quarters of an hour, added up by the day they are on.
fn days(quarters: Vec<(String, CostSum)>, zone: &TimeZone) -> Vec<(Date, CostSum)> {
    let mut days: BTreeMap<Date, CostSum> = BTreeMap::new();
    for (key, sum) in quarters {
        let begins = key
            .parse::<i32>()
            .ok()
            .and_then(|number| Timestamp::UNIX_EPOCH.checked_add(QUARTER.checked_mul(number)?).ok());
        // A key that is none is a time that no clock shows; its money is in the sums.
        let Some(begins) = begins else { continue };
        let day = days.entry(period::day_of(begins, zone)).or_default();
        *day = day.plus(sum);
    }
    days.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, cost: i64) -> (String, CostSum) {
        let at: Timestamp = text.parse().unwrap();
        let number = at.as_second().div_euclid(900).to_string();
        (number, CostSum { requests: 1, cost: MicroUsd(cost), ..CostSum::default() })
    }

    #[test]
    fn quarters_of_an_hour_make_the_days_of_any_zone() {
        let quarters = vec![
            at("2026-10-24T21:59:59Z", 1),
            at("2026-10-24T22:00:00Z", 10),
            // The day has 25 hours.
            at("2026-10-25T22:45:00Z", 100),
            at("2026-10-25T23:00:00Z", 1000),
        ];
        let told = |quarters: &Vec<_>, name: &str| {
            let days = days(quarters.clone(), &period::zone(name).unwrap());
            days.into_iter().map(|(day, sum)| (day.to_string(), sum.cost.0)).collect::<Vec<_>>()
        };
        let day = |day: &str, cost| (day.to_owned(), cost);
        let berlin = [day("2026-10-24", 1), day("2026-10-25", 110), day("2026-10-26", 1000)];
        assert_eq!(told(&quarters, "Europe/Berlin"), berlin);
        let kathmandu = [day("2026-10-25", 11), day("2026-10-26", 1100)];
        assert_eq!(told(&quarters, "Asia/Kathmandu"), kathmandu);
        assert_eq!(told(&vec![at("1969-12-31T23:59:59Z", 5)], "UTC"), [day("1969-12-31", 5)]);
    }

    #[test]
    fn an_average_is_rounded_and_never_divides_by_nothing() {
        let report = |cost, sessions| CostReport {
            stretch: Stretch { from: Timestamp::UNIX_EPOCH, until: Timestamp::UNIX_EPOCH },
            time_zone: "UTC".to_owned(),
            sum: CostSum { cost: MicroUsd(cost), ..CostSum::default() },
            activity: Activity { sessions, ..Activity::default() },
            by_model: vec![],
            by_session: None,
            by_tool: None,
            by_day: None,
        };
        for (cost, sessions, expected) in [(0, 0, 0), (5, 0, 0), (10, 3, 3), (11, 3, 4), (12, 3, 4)] {
            assert_eq!(report(cost, sessions).cost_per_session(), MicroUsd(expected), "{cost} of {sessions}");
        }
    }
}
