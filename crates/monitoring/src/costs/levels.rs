//! What is held and what is left, noted for whoever scrapes.

#[cfg(test)]
mod tests;

use super::{CostTracker, NOBODYS_ZONE, month_of};
use domain::{BudgetPeriod, Spender, budget::Account, ports::StoreResult};
use std::collections::BTreeSet;

/// Where a month begins last and first. For most of a month it is the same one everywhere.
const EDGES_OF_THE_WORLD: [&str; 2] = ["Etc/GMT+12", "Etc/GMT-14"];

impl CostTracker {
    /// Notes what is held now, and how much is spent of every budget: of each that somebody set, and of the default of
    /// each user who spent something this month.
    pub async fn note_levels(&self) -> StoreResult<()> {
        let metrics = &self.metrics;
        let budgets = &self.stores.budgets;
        let (count, amount) = budgets.holds().await?;
        metrics.note_holds(count, amount);
        let own: BTreeSet<_> = budgets.own_budgets().await?.into_iter().map(|(spender, _)| spender).collect();
        let mut accounts = self.on_default_budget(&own).await?;
        for spender in own {
            if let Some(period) = self.period_of(&spender).await? {
                accounts.push(Account { spender, period, default: None });
            }
        }
        metrics.note_budgets(&budgets.statuses(&accounts).await?);
        Ok(())
    }

    /// The accounts of this month's users without a budget of their own; none where there is no default.
    async fn on_default_budget(&self, own: &BTreeSet<Spender>) -> StoreResult<Vec<Account>> {
        let Some(default) = self.settings.user_budget else { return Ok(Vec::new()) };
        let now = self.clock.now();
        let mut months: Vec<_> =
            EDGES_OF_THE_WORLD.iter().filter_map(|zone| month_of(now, zone).ok()).collect();
        months.dedup();
        let mut accounts = Vec::new();
        for (user, period) in self.stores.budgets.spending_users(&months).await? {
            let spender = Spender::User(user);
            // Where months meet, a user may have spent in both, and only their own clock tells which it is.
            let is_now = months.len() == 1 || self.period_of(&spender).await?.as_ref() == Some(&period);
            if is_now && !own.contains(&spender) {
                accounts.push(Account { spender, period, default: Some(default) });
            }
        }
        Ok(accounts)
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
