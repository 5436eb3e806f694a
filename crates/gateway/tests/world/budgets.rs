//! Budgets that can be looked into, held up, emptied and made to fail.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::{
    Budget, BudgetPeriod, BudgetStatus, MicroUsd, Origin, RequestUsage, RequestUsageId, ServerId, Spender,
    UserId, WhenExhausted,
    budget::{Account, Exhausted, Held, NewHold, Settlement},
    ports::{Budgets, StoreError, StoreResult},
};
use jiff::Timestamp;
use tokio::sync::Semaphore;

/// One budget for everybody; each settling needs a permit, of which there are plenty unless a test takes them away.
pub struct TestBudgets {
    state: Mutex<State>,
    pub permits: Semaphore,
}

#[derive(Default)]
struct State {
    limit: Option<MicroUsd>,
    holds: BTreeMap<RequestUsageId, NewHold>,
    asked: Vec<NewHold>,
    spent: MicroUsd,
    booked: Vec<RequestUsage>,
    seen: Vec<RequestUsage>,
    hold_failures: u32,
    settle_failures: u32,
}

impl Default for TestBudgets {
    fn default() -> Self {
        Self { state: Mutex::default(), permits: Semaphore::new(1_000) }
    }
}

impl TestBudgets {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on no more than this may be spent.
    pub fn limit(&self, limit: MicroUsd) {
        self.state().limit = Some(limit);
    }

    pub fn booked(&self) -> Vec<RequestUsage> {
        self.state().booked.clone()
    }

    /// The only booking there is.
    pub fn only(&self) -> RequestUsage {
        let mut booked = self.booked();
        assert_eq!(booked.len(), 1, "{booked:?}");
        booked.remove(0)
    }

    /// Everything that was noted of requests under way.
    pub fn seen(&self) -> Vec<RequestUsage> {
        self.state().seen.clone()
    }

    /// Every hold that was asked for and admitted.
    pub fn admitted(&self) -> Vec<NewHold> {
        self.state().asked.clone()
    }

    pub fn spent(&self) -> MicroUsd {
        self.state().spent
    }

    /// How many holds there are now.
    pub fn open(&self) -> usize {
        self.state().holds.len()
    }

    pub fn fail_next(&self, times: u32) {
        self.state().settle_failures = times;
    }

    pub fn fail_next_holds(&self, times: u32) {
        self.state().hold_failures = times;
    }
}

fn fail_if_told(left: &mut u32) -> StoreResult<()> {
    if *left == 0 {
        return Ok(());
    }
    *left -= 1;
    Err(StoreError::Unavailable("asked to fail".into()))
}

#[async_trait::async_trait]
impl Budgets for TestBudgets {
    async fn hold(&self, hold: &NewHold) -> StoreResult<Held> {
        let mut state = self.state();
        fail_if_told(&mut state.hold_failures)?;
        let held: MicroUsd = state.holds.values().map(|hold| hold.amount).sum();
        if let Some(limit) = state.limit {
            let spender = Spender::User(hold.user_id);
            if state.spent >= limit {
                let budget = Budget { limit, when_exhausted: WhenExhausted::Block };
                return Ok(Held::Exhausted(Exhausted { spender, budget, spent: state.spent }));
            }
            if state.spent + held >= limit {
                return Ok(Held::Wait(spender));
            }
        }
        state.holds.insert(hold.id, hold.clone());
        state.asked.push(hold.clone());
        Ok(Held::Admitted)
    }

    async fn note_seen(&self, seen: &RequestUsage) -> StoreResult<()> {
        self.state().seen.push(seen.clone());
        Ok(())
    }

    async fn settle(&self, usage: &RequestUsage) -> StoreResult<Settlement> {
        let _permit = self.permits.acquire().await.map_err(|error| StoreError::Failed(error.into()))?;
        let mut state = self.state();
        fail_if_told(&mut state.settle_failures)?;
        assert!(state.holds.remove(&usage.id).is_some(), "settled without a hold, or twice: {usage:?}");
        state.spent = state.spent + usage.cost;
        state.booked.push(usage.clone());
        Ok(Settlement::default())
    }

    async fn release(&self, id: RequestUsageId) -> StoreResult<()> {
        self.state().holds.remove(&id);
        Ok(())
    }

    async fn settle_lost(&self, _: ServerId, _: Timestamp, _: Timestamp) -> StoreResult<u64> {
        Ok(0)
    }

    async fn statuses(&self, _: &[Account]) -> StoreResult<Vec<BudgetStatus>> {
        Ok(Vec::new())
    }

    async fn set_budget(
        &self,
        _: &Account,
        budget: Option<Budget>,
        _: &domain::Expected,
        _: Timestamp,
        _: &Origin,
    ) -> StoreResult<Settlement> {
        self.state().limit = budget.map(|budget| budget.limit);
        Ok(Settlement::default())
    }

    async fn own_budgets(&self) -> StoreResult<Vec<(Spender, Budget)>> {
        Ok(Vec::new())
    }

    async fn spending_users(&self, _: &[BudgetPeriod]) -> StoreResult<Vec<(UserId, BudgetPeriod)>> {
        Ok(Vec::new())
    }

    async fn holds(&self) -> StoreResult<(u64, MicroUsd)> {
        let state = self.state();
        Ok((state.holds.len() as u64, state.holds.values().map(|hold| hold.amount).sum()))
    }
}
