//! Money: held before it is spent, settled after.

use super::StoreResult;
use crate::{
    Expected, MicroUsd, Origin, RequestUsage, RequestUsageId, ServerId, UserId,
    budget::{Account, Budget, BudgetPeriod, BudgetStatus, Held, NewHold, Settlement, Spender},
};
use async_trait::async_trait;
use jiff::Timestamp;

/// Budgets and what is held of them.
///
/// For every spender and period the store keeps `spent` and `held`. At all times `held` is the sum of the holds that
/// exist, and `spent` the sum of the costs that were booked.
#[async_trait]
pub trait Budgets: Send + Sync {
    /// Sets the amount aside in every account, or in none.
    ///
    /// An account admits while `spent + held < limit`: whoever is admitted may bring it over its limit by what one
    /// request costs at most, and nobody else is admitted until that is settled. Asking again for an id that is held
    /// changes nothing and answers `Admitted`.
    async fn hold(&self, hold: &NewHold) -> StoreResult<Held>;

    /// Notes what a request under way has used so far, priced, for the case that nobody lives to settle it. Nothing
    /// happens if its hold is gone.
    async fn note_seen(&self, seen: &RequestUsage) -> StoreResult<()>;

    /// Books the request on its session, its turn and the accounts that it is held in, and frees the hold: one unit.
    ///
    /// Settling twice changes nothing, with one exception: if it was settled by [`Budgets::settle_lost`] from what had
    /// been seen, the first to know the whole corrects it by the difference.
    /// Spend belongs to the period that the hold was taken in. Raises an alert for each threshold that is reached.
    /// A request that has no hold is booked on its session and turn, and on no account.
    async fn settle(&self, usage: &RequestUsage) -> StoreResult<Settlement>;

    /// Frees a hold whose request was never sent. Nothing happens if it is gone.
    async fn release(&self, id: RequestUsageId) -> StoreResult<()>;

    /// Settles the holds of servers that are gone, and those that `server` has from before `since`: from what was seen
    /// (booked as incomplete and estimated), or frees them if nothing was. Answers with how many there were.
    async fn settle_lost(&self, server: ServerId, since: Timestamp, at: Timestamp) -> StoreResult<u64>;

    /// What is spent and held in these accounts, and the budgets that hold for them.
    async fn statuses(&self, accounts: &[Account]) -> StoreResult<Vec<BudgetStatus>>;

    /// Sets a spender's own budget, or removes it; writes the audit log. What may be expected is the own budget there
    /// was before, an `Option<Budget>`: what is spent of it meanwhile changes nothing of that. Raises an alert for each threshold that is
    /// reached by it in the account's period.
    async fn set_budget(
        &self,
        account: &Account,
        budget: Option<Budget>,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Settlement>;

    /// Every spender that has a budget of its own, in order.
    async fn own_budgets(&self) -> StoreResult<Vec<(Spender, Budget)>>;

    /// The users that something was spent by, or nothing yet but their first request was admitted, in each of these
    /// periods.
    async fn spending_users(&self, periods: &[BudgetPeriod]) -> StoreResult<Vec<(UserId, BudgetPeriod)>>;

    /// How many holds there are and what they sum up to.
    async fn holds(&self) -> StoreResult<(u64, MicroUsd)>;
}
