//! What is told when shares of a budget are reached: which of them, how soon somebody should look, and in what words.

use super::{ALERT_THRESHOLDS, BudgetStatus, Spender, WhenExhausted};
use crate::{Alert, AlertId, AlertTopic, MicroUsd, Severity, UserId};
use jiff::Timestamp;

impl BudgetStatus {
    /// What is to be told of this budget now: an alert for each threshold that is reached and lies above
    /// `told_percent`, the greatest that was told in this period (0 if none was). Nothing is told as long as nothing is
    /// spent. `owner` is the user of the session whose budget it is; of other budgets it says nothing.
    #[must_use]
    pub fn alerts(&self, told_percent: u8, owner: Option<UserId>, at: Timestamp) -> Vec<Alert> {
        let due = ALERT_THRESHOLDS.into_iter().filter(|threshold| *threshold > told_percent);
        due.filter(|threshold| self.has_reached(*threshold))
            .map(|threshold| self.alert(threshold, owner, at))
            .collect()
    }

    /// Whether this share of the budget, in percent, is spent.
    #[must_use]
    pub fn has_reached(&self, percent: u8) -> bool {
        let Some(budget) = self.budget else { return false };
        let (spent, limit) = (i128::from(self.spent.0), i128::from(budget.limit.0));
        spent > 0 && spent * 100 >= limit * i128::from(percent)
    }

    fn alert(&self, threshold: u8, owner: Option<UserId>, at: Timestamp) -> Alert {
        let user_id = match self.spender {
            Spender::User(id) => Some(id),
            Spender::Team(_) => None,
            Spender::Session(_) => owner,
        };
        Alert {
            id: AlertId::new(),
            topic: AlertTopic::Budget {
                spender: self.spender.clone(),
                period: self.period.clone(),
                threshold_percent: threshold,
            },
            severity: match threshold {
                ..80 => Severity::Info,
                80..100 => Severity::Warning,
                100.. => Severity::Critical,
            },
            message: self.message(threshold),
            user_id,
            raised_at: at,
        }
    }

    fn message(&self, threshold: u8) -> String {
        let (kind, key) = (self.spender.kind(), self.spender.key());
        let period = if self.period.0.is_empty() { String::new() } else { format!(" for {}", self.period.0) };
        let limit = self.budget.map_or(MicroUsd::ZERO, |budget| budget.limit);
        let percent = i128::from(self.spent.0).saturating_mul(100).checked_div(i128::from(limit.0));
        let percent = percent.map(|percent| format!(" ({percent} %)")).unwrap_or_default();
        let (spent, limit) = (dollars(self.spent), dollars(limit));
        let consequence = match self.budget.map(|budget| budget.when_exhausted) {
            _ if threshold < 100 => "",
            Some(WhenExhausted::Block) => " Further requests are refused.",
            Some(WhenExhausted::Pause) => " Sessions pause until there is money again.",
            Some(WhenExhausted::Warn) | None => " Nothing is refused.",
        };
        format!("The {kind} {key} has spent {spent} of the budget of {limit}{period}{percent}.{consequence}")
    }
}

/// Dollars and cents, and as much below a cent as there is.
fn dollars(amount: MicroUsd) -> String {
    let exact = amount.to_string();
    let cents = exact.len().saturating_sub(4);
    let (dollars, below) = exact.split_at(cents);
    format!("{dollars}{}", below.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Budget, BudgetPeriod, SessionId};

    fn status(spender: Spender, spent: i64, limit: i64) -> BudgetStatus {
        let budget = Budget { limit: MicroUsd(limit), when_exhausted: WhenExhausted::Pause };
        BudgetStatus {
            spender,
            period: BudgetPeriod("2026-11".into()),
            budget: Some(budget),
            is_own: true,
            spent: MicroUsd(spent),
            held: MicroUsd(0),
        }
    }

    fn told(status: &BudgetStatus, told_percent: u8) -> Vec<u8> {
        let alerts = status.alerts(told_percent, None, Timestamp::UNIX_EPOCH);
        let threshold = |alert: &Alert| match alert.topic {
            AlertTopic::Budget { threshold_percent, .. } => threshold_percent,
            AlertTopic::Health { .. } => 0,
        };
        alerts.iter().map(threshold).collect()
    }

    #[test]
    fn each_threshold_is_told_when_it_is_reached_and_not_again() {
        let team = || Spender::Team("blue".into());
        let of = |spent| status(team(), spent, 1_000);
        assert_eq!(told(&of(499), 0), [0; 0]);
        assert_eq!(told(&of(500), 0), [50]);
        assert_eq!(told(&of(799), 50), [0; 0]);
        assert_eq!(told(&of(1_000), 0), [50, 80, 100], "one great request reaches all of them");
        assert_eq!(told(&of(5_000), 80), [100]);
        assert_eq!(told(&of(5_000), 100), [0; 0]);
        assert_eq!(told(&status(team(), 0, 0), 0), [0; 0], "nothing is spent");
        assert_eq!(told(&status(team(), 1, 0), 0), [50, 80, 100]);
        assert_eq!(told(&status(team(), i64::MAX, i64::MAX), 80), [100]);
        assert_eq!(told(&BudgetStatus { budget: None, ..of(1_000) }, 0), [0; 0]);
    }

    #[test]
    fn an_alert_says_how_much_in_dollars_and_percent() {
        let message = |spent, limit, period: &str| {
            let status = status(Spender::Team("blue".into()), spent, limit);
            let status = BudgetStatus { period: BudgetPeriod(period.into()), ..status };
            status.alerts(0, None, Timestamp::UNIX_EPOCH).pop().unwrap().message
        };
        let expected = "The team blue has spent $8.10 of the budget of $10.00 for 2026-11 (81 %).";
        assert_eq!(message(8_100_000, 10_000_000, "2026-11"), expected);
        let expected = "The team blue has spent $0.000012 of the budget of $0.00001 (120 %). \
                        Sessions pause until there is money again.";
        assert_eq!(message(12, 10, ""), expected);
        let expected = "The team blue has spent $0.01 of the budget of $0.00. \
                        Sessions pause until there is money again.";
        assert_eq!(message(10_000, 0, ""), expected);
    }

    #[test]
    fn a_session_is_told_to_its_owner_and_a_team_to_admins() {
        let owner = Some(UserId::new());
        let user_id = |spender| status(spender, 9, 10).alerts(0, owner, Timestamp::UNIX_EPOCH)[0].user_id;
        let user = UserId::new();
        assert_eq!(user_id(Spender::User(user)), Some(user));
        assert_eq!(user_id(Spender::Session(SessionId::new())), owner);
        assert_eq!(user_id(Spender::Team("blue".into())), None);
    }
}
