//! Budgets, and what is spent and held of them.

use super::{MemoryStore, State};
use async_trait::async_trait;
use domain::{
    Expected, MicroUsd, Origin, RequestUsage, RequestUsageId, ServerId, UserId,
    audit::events,
    budget::{
        Account, Budget, BudgetPeriod, BudgetStatus, Exhausted, Held, NewHold, Settlement, Spender,
        WhenExhausted,
    },
    ports::{Budgets, StoreResult},
};
use jiff::{SignedDuration, Timestamp};

/// How long a lost hold is kept for the one who may yet know the whole.
const LATE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// What is spent in one period, and how much of that was told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spend {
    spent: MicroUsd,
    told_percent: u8,
}

#[derive(Debug)]
pub(super) struct StoredHold {
    hold: NewHold,
    seen: Option<RequestUsage>,
    /// Settled for a server that was gone; it holds nothing any more.
    is_lost: bool,
}

#[async_trait]
impl Budgets for MemoryStore {
    async fn hold(&self, hold: &NewHold) -> StoreResult<Held> {
        let mut state = self.state();
        if state.holds.get(&hold.id).is_some_and(|stored| !stored.is_lost) {
            return Ok(Held::Admitted);
        }
        let statuses: Vec<_> = hold.accounts.iter().map(|account| state.status(account)).collect();
        if let Some(refused) = refusal(&statuses) {
            return Ok(refused);
        }
        let stored = StoredHold { hold: hold.clone(), seen: None, is_lost: false };
        state.holds.insert(hold.id, stored);
        Ok(Held::Admitted)
    }

    async fn note_seen(&self, seen: &RequestUsage) -> StoreResult<()> {
        let mut state = self.state();
        if let Some(stored) = state.holds.get_mut(&seen.id).filter(|stored| !stored.is_lost) {
            stored.seen = Some(seen.clone());
        }
        Ok(())
    }

    async fn settle(&self, usage: &RequestUsage) -> StoreResult<Settlement> {
        let mut state = self.state();
        let stored = state.holds.remove(&usage.id);
        let at = ended_at(usage);
        let booked = state.requests.iter().position(|booked| booked.id == usage.id);
        let more = match (&stored, booked) {
            (_, None) => {
                state.book(usage);
                usage.cost
            }
            // What was booked of a lost hold is corrected, once.
            (Some(StoredHold { is_lost: true, .. }), Some(index)) => {
                let before = state.requests.remove(index);
                state.add_up(&before, -1);
                state.book(usage);
                MicroUsd(usage.cost.0 - before.cost.0)
            }
            _ => return Ok(Settlement::default()),
        };
        Ok(match stored {
            Some(stored) => state.spend_on(&stored.hold, more, at),
            None => Settlement::default(),
        })
    }

    async fn release(&self, id: RequestUsageId) -> StoreResult<()> {
        let mut state = self.state();
        if state.holds.get(&id).is_some_and(|stored| !stored.is_lost) {
            state.holds.remove(&id);
        }
        Ok(())
    }

    async fn settle_lost(&self, server: ServerId, since: Timestamp, at: Timestamp) -> StoreResult<u64> {
        let mut state = self.state();
        let is_lost = |stored: &StoredHold| {
            let its = stored.hold.server_id;
            let is_gone = if its == server { stored.hold.started_at < since } else { !state.lives(its) };
            !stored.is_lost && is_gone
        };
        let lost: Vec<_> =
            state.holds.values().filter(|stored| is_lost(stored)).map(|stored| stored.hold.id).collect();
        for id in &lost {
            let Some(stored) = state.holds.get_mut(id) else { continue };
            stored.is_lost = true;
            let (hold, seen) = (stored.hold.clone(), stored.seen.take());
            let Some(seen) = seen else { continue };
            let seen = RequestUsage { is_complete: false, is_estimated: true, ..seen };
            state.book(&seen);
            state.spend_on(&hold, seen.cost, at);
        }
        let is_late = |stored: &StoredHold| at.duration_since(stored.hold.started_at) > LATE_MAX;
        state.holds.retain(|_, stored| !(stored.is_lost && is_late(stored)));
        Ok(lost.len() as u64)
    }

    async fn statuses(&self, accounts: &[Account]) -> StoreResult<Vec<BudgetStatus>> {
        let state = self.state();
        Ok(accounts.iter().map(|account| state.status(account)).collect())
    }

    async fn set_budget(
        &self,
        account: &Account,
        budget: Option<Budget>,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<Settlement> {
        let mut state = self.state();
        expected.admit(&state.budgets.get(&account.spender).copied())?;
        match budget {
            Some(budget) => state.budgets.insert(account.spender.clone(), budget),
            None => state.budgets.remove(&account.spender),
        };
        state.audit(events::budget_set(&account.spender, budget, origin, at))?;
        let owner = match account.spender {
            Spender::Session(id) => state.sessions.get(&id).map(|session| session.user_id),
            Spender::User(_) | Spender::Team(_) => None,
        };
        Ok(Settlement { alerts: state.tell(account, owner, at) })
    }

    async fn own_budgets(&self) -> StoreResult<Vec<(Spender, Budget)>> {
        Ok(self.state().budgets.iter().map(|(spender, budget)| (spender.clone(), *budget)).collect())
    }

    async fn spending_users(&self, periods: &[BudgetPeriod]) -> StoreResult<Vec<(UserId, BudgetPeriod)>> {
        let state = self.state();
        let user = |(spender, period): &(Spender, BudgetPeriod)| match spender {
            Spender::User(id) if periods.contains(period) => Some((*id, period.clone())),
            _ => None,
        };
        let mut users: Vec<_> = state.spend.keys().filter_map(user).collect();
        users.sort_by(|(id, period), (other, another)| (period, id).cmp(&(another, other)));
        Ok(users)
    }

    async fn holds(&self) -> StoreResult<(u64, MicroUsd)> {
        let state = self.state();
        let held: Vec<_> =
            state.holds.values().filter(|stored| !stored.is_lost).map(|stored| stored.hold.amount).collect();
        Ok((held.len() as u64, held.into_iter().sum()))
    }
}

/// Why these accounts do not admit a request: one without money rather than one to wait for.
fn refusal(statuses: &[BudgetStatus]) -> Option<Held> {
    let bounded = statuses.iter().filter_map(|status| {
        let budget = status.budget.filter(|budget| budget.when_exhausted != WhenExhausted::Warn)?;
        Some((status, budget))
    });
    let mut waits = None;
    for (status, budget) in bounded {
        if status.spent >= budget.limit {
            let (spender, spent) = (status.spender.clone(), status.spent);
            return Some(Held::Exhausted(Exhausted { spender, budget, spent }));
        }
        if status.spent + status.held >= budget.limit {
            waits = waits.or_else(|| Some(Held::Wait(status.spender.clone())));
        }
    }
    waits
}

fn ended_at(usage: &RequestUsage) -> Timestamp {
    let took = SignedDuration::from_millis(i64::try_from(usage.duration_ms).unwrap_or(i64::MAX));
    usage.started_at.saturating_add(took).unwrap_or(usage.started_at)
}

impl State {
    pub(super) fn status(&self, account: &Account) -> BudgetStatus {
        let own = self.budgets.get(&account.spender).copied();
        let is_account = |one: &&Account| one.spender == account.spender && one.period == account.period;
        let holds = self.holds.values().filter(|stored| !stored.is_lost);
        let held = holds.filter(|stored| stored.hold.accounts.iter().any(|one| is_account(&one)));
        BudgetStatus {
            spender: account.spender.clone(),
            period: account.period.clone(),
            budget: own.or(account.default),
            is_own: own.is_some(),
            spent: self.spend(&account.spender, &account.period).spent,
            held: held.map(|stored| stored.hold.amount).sum(),
        }
    }

    fn spend(&self, spender: &Spender, period: &BudgetPeriod) -> Spend {
        self.spend.get(&(spender.clone(), period.clone())).copied().unwrap_or_default()
    }

    /// Adds to every account of a hold.
    fn spend_on(&mut self, hold: &NewHold, more: MicroUsd, at: Timestamp) -> Settlement {
        let mut alerts = Vec::new();
        for account in &hold.accounts {
            let is_gone = matches!(&account.spender, Spender::Session(id) if !self.sessions.contains_key(id));
            if is_gone {
                continue;
            }
            let spend = self.spend.entry((account.spender.clone(), account.period.clone())).or_default();
            spend.spent = spend.spent + more;
            alerts.extend(self.tell(account, Some(hold.user_id), at));
        }
        Settlement { alerts }
    }

    /// Puts on record what is to be told of this account now.
    fn tell(&mut self, account: &Account, owner: Option<UserId>, at: Timestamp) -> Vec<domain::Alert> {
        let told = self.spend(&account.spender, &account.period).told_percent;
        let alerts = self.status(account).alerts(told, owner, at);
        let highest = alerts.iter().filter_map(|alert| match alert.topic {
            domain::AlertTopic::Budget { threshold_percent, .. } => Some(threshold_percent),
            domain::AlertTopic::Health { .. } => None,
        });
        if let Some(highest) = highest.max() {
            let spend = self.spend.entry((account.spender.clone(), account.period.clone())).or_default();
            spend.told_percent = highest;
        }
        alerts.into_iter().filter(|alert| self.raise(alert)).collect()
    }

    /// Puts a request on record, on its session and turn. Those that are gone have nothing to be booked on.
    fn book(&mut self, usage: &RequestUsage) {
        self.add_up(usage, 1);
        self.requests.push(usage.clone());
    }

    /// Adds a request to its session and turn, or takes it from them.
    fn add_up(&mut self, usage: &RequestUsage, sign: i64) {
        let sum = |sum: &mut domain::TokenUsage, cost: &mut MicroUsd| {
            let figures = [
                (&mut sum.input, usage.tokens.input),
                (&mut sum.output, usage.tokens.output),
                (&mut sum.cache_write_5m, usage.tokens.cache_write_5m),
                (&mut sum.cache_write_1h, usage.tokens.cache_write_1h),
                (&mut sum.cache_read, usage.tokens.cache_read),
            ];
            for (sum, more) in figures {
                *sum = if sign < 0 { sum.saturating_sub(more) } else { sum.saturating_add(more) };
            }
            cost.0 += sign * usage.cost.0;
        };
        if let Some(session) = self.sessions.get_mut(&usage.session_id) {
            sum(&mut session.counters.tokens, &mut session.counters.cost);
        }
        if let Some(stored) = usage.turn_id.and_then(|id| self.turns.get_mut(&id)) {
            sum(&mut stored.turn.tokens, &mut stored.turn.cost);
        }
    }
}
