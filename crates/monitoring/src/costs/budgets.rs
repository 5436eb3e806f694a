//! Budgets as people see and set them.

use super::{CostError, CostTracker, NOBODYS_ZONE, month_of, period};
use domain::{
    Budget, BudgetPeriod, BudgetStatus, Expected, Origin, Page, PageRequest, Spender, Total, UserId,
    WhenExhausted, budget::Account, ports::StoreError,
};

/// A budget with what is spent of it, and by whose clocks its month is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetView {
    pub status: BudgetStatus,
    /// `None` for what has no months.
    pub time_zone: Option<String>,
    /// Days that are left of the month, the present one included.
    pub days_remaining: Option<u8>,
}

impl BudgetView {
    /// How much of the limit is spent, in percent. All of it where there is nothing to spend; `None`: no bound.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a view; hundredths of a percent are enough")]
    pub fn percent_used(&self) -> Option<f64> {
        let limit = self.status.budget?.limit.0;
        if limit <= 0 {
            return Some(100.0);
        }
        let hundredths = i128::from(self.status.spent.0) * 10_000 / i128::from(limit);
        Some(hundredths as f64 / 100.0)
    }
}

impl CostTracker {
    /// The account of this spender that a request of this instant would be booked on.
    pub async fn account(&self, spender: Spender) -> Result<Account, CostError> {
        Ok(self.dated(spender).await?.0)
    }

    /// What is spent and held of a spender's budget now.
    pub async fn budget(&self, spender: Spender) -> Result<BudgetView, CostError> {
        let (account, time_zone) = self.dated(spender).await?;
        let statuses = self.stores.budgets.statuses(std::slice::from_ref(&account)).await?;
        let status = statuses.into_iter().next().unwrap_or_else(|| nothing_spent(account));
        self.view(status, time_zone)
    }

    /// Sets a spender's own budget, or returns them to the default. It holds from the next request on.
    pub async fn set_budget(
        &self,
        spender: Spender,
        budget: Option<Budget>,
        expected: &Expected,
        origin: &Origin,
    ) -> Result<BudgetView, CostError> {
        let (account, _) = self.dated(spender.clone()).await?;
        let settled =
            self.stores.budgets.set_budget(&account, budget, expected, self.clock.now(), origin).await?;
        self.note_alerts(&settled);
        self.budget_changed();
        self.budget(spender).await
    }

    /// Those who have a budget of their own, in order.
    pub async fn own_budgets(&self, page: &PageRequest) -> Result<Page<BudgetView>, CostError> {
        let mut all: Vec<Spender> =
            self.stores.budgets.own_budgets().await?.into_iter().map(|(spender, _)| spender).collect();
        all.sort();
        let total = Some(Total::exactly(all.len() as u64));
        let first = match &page.cursor {
            Some(cursor) => {
                let last = place(cursor).ok_or(StoreError::BadCursor)?;
                all.partition_point(|spender| *spender <= last)
            }
            None => page.skip as usize,
        };
        let rest = all.get(first..).unwrap_or_default();
        let shown = &rest[..rest.len().min(page.limit as usize)];
        let next_cursor = shown.last().filter(|_| rest.len() > shown.len()).map(cursor);
        let mut items = Vec::with_capacity(shown.len());
        for spender in shown {
            match self.budget(spender.clone()).await {
                Ok(view) => items.push(view),
                // The account is gone since.
                Err(CostError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Page { items, total, next_cursor })
    }

    /// The team that a user spends for.
    pub async fn team_of(&self, user: UserId) -> Result<Option<String>, CostError> {
        Ok(self.stores.accounts.user(user).await?.and_then(|user| user.team))
    }

    /// What to do when money is gone, unless somebody says otherwise.
    #[must_use]
    pub fn usual_manner(&self) -> WhenExhausted {
        self.settings.user_budget.map(|budget| budget.when_exhausted).unwrap_or_default()
    }

    /// The account, and the zone by whose clocks its month is counted.
    async fn dated(&self, spender: Spender) -> Result<(Account, Option<String>), CostError> {
        let now = self.clock.now();
        Ok(match spender {
            Spender::User(id) => {
                let user = self.stores.accounts.user(id).await?.ok_or(CostError::NotFound("user"))?;
                let period = month_of(now, &user.time_zone)?;
                (Account { spender, period, default: self.settings.user_budget }, Some(user.time_zone))
            }
            Spender::Team(_) => {
                let period = month_of(now, NOBODYS_ZONE)?;
                (Account { spender, period, default: None }, Some(NOBODYS_ZONE.to_owned()))
            }
            Spender::Session(_) => {
                (Account { spender, period: BudgetPeriod::default(), default: None }, None)
            }
        })
    }

    fn view(&self, status: BudgetStatus, time_zone: Option<String>) -> Result<BudgetView, CostError> {
        let zone = time_zone.as_deref().map(period::zone).transpose()?;
        let days_remaining = zone.map(|zone| period::days_left(self.clock.now(), &zone));
        Ok(BudgetView { status, time_zone, days_remaining })
    }
}

fn nothing_spent(account: Account) -> BudgetStatus {
    let Account { spender, period, default } = account;
    BudgetStatus {
        spender,
        period,
        budget: default,
        is_own: false,
        spent: domain::MicroUsd::ZERO,
        held: domain::MicroUsd::ZERO,
    }
}

fn cursor(spender: &Spender) -> String {
    format!("{}:{}", spender.kind(), spender.key())
}

fn place(cursor: &str) -> Option<Spender> {
    let (kind, key) = cursor.split_once(':')?;
    Spender::parse(kind, key)
}
