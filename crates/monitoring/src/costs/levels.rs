//! What is held and what is left, noted for whoever scrapes.

use super::{CostTracker, NOBODYS_ZONE, month_of};
use domain::{BudgetPeriod, Spender, budget::Account, ports::StoreResult};

impl CostTracker {
    /// Notes what is held now, and how much is spent of every budget that somebody set.
    pub async fn note_levels(&self) -> StoreResult<()> {
        let metrics = &self.metrics;
        let budgets = &self.stores.budgets;
        let (count, amount) = budgets.holds().await?;
        metrics.note_holds(count, amount);
        let mut accounts = Vec::new();
        for (spender, _) in budgets.own_budgets().await? {
            if let Some(period) = self.period_of(&spender).await? {
                accounts.push(Account { spender, period, default: None });
            }
        }
        metrics.note_budgets(&budgets.statuses(&accounts).await?);
        Ok(())
    }

    /// The period that a spender is in now; `None` for a user that is gone.
    async fn period_of(&self, spender: &Spender) -> StoreResult<Option<BudgetPeriod>> {
        let now = self.clock.now();
        let zone = match spender {
            Spender::Session(_) => return Ok(Some(BudgetPeriod::default())),
            Spender::Team(_) => NOBODYS_ZONE.to_owned(),
            Spender::User(id) => match self.stores.accounts.user(*id).await? {
                Some(user) => user.time_zone,
                None => return Ok(None),
            },
        };
        Ok(month_of(now, &zone).ok())
    }
}
