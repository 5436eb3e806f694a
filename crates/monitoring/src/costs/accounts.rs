//! Whose money a request is: its user's, their team's, its session's.

use super::{CostTracker, NOBODYS_ZONE, UnknownTimeZone, month_of, next_month};
use domain::{
    BudgetPeriod, SessionId, Spender, UserId,
    budget::{Account, Exhausted, UsedUp},
    ports::StoreError,
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a user's team and time zone are taken for what they were. Budgets themselves are never remembered.
const OWNER_REMEMBERED: Duration = Duration::from_secs(5);
/// Users that are remembered at a time.
const OWNERS_MAX: usize = 10_000;

/// Why it cannot be told whose money a request is.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Nobody has this id.
    #[error("find the user whose money it is")]
    NoUser,
    /// Their month cannot be told.
    #[error(transparent)]
    TimeZone(#[from] UnknownTimeZone),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What decides a user's accounts.
#[derive(Debug)]
pub(super) struct Owner {
    team: Option<String>,
    time_zone: String,
}

/// Users that were looked up a moment ago.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<UserId, (Instant, Arc<Owner>)>>);

impl Owner {
    /// When this spender has money again; `None`: never by itself.
    pub(super) fn renews_at(
        &self,
        spender: &Spender,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, UnknownTimeZone> {
        match spender {
            Spender::User(_) => next_month(at, &self.time_zone).map(Some),
            Spender::Team(_) => next_month(at, NOBODYS_ZONE).map(Some),
            Spender::Session(_) => Ok(None),
        }
    }
}

impl CostTracker {
    /// The accounts that requests of this user are asked of, in this session, at this time.
    pub async fn accounts_of(
        &self,
        user: UserId,
        session: Option<SessionId>,
        at: Timestamp,
    ) -> Result<Vec<Account>, AccountsError> {
        let owner = self.owner(user).await?;
        Ok(self.accounts(&owner, user, session, at)?)
    }

    /// The accounts that must have money for a request of this user to be let through, now and in this session.
    pub async fn payers(
        &self,
        user: UserId,
        session: Option<SessionId>,
    ) -> Result<Vec<Account>, AccountsError> {
        if !self.settings.is_enabled {
            return Ok(Vec::new());
        }
        self.accounts_of(user, session, self.clock.now()).await
    }

    /// Why nothing is sent for this user, and until when.
    pub async fn explain(&self, user: UserId, exhausted: Exhausted) -> Result<UsedUp, AccountsError> {
        Ok(used_up(&*self.owner(user).await?, exhausted, self.clock.now())?)
    }

    /// The budget for want of which no request of this user would be let through now, in this session.
    pub async fn used_up(
        &self,
        user: UserId,
        session: Option<SessionId>,
    ) -> Result<Option<UsedUp>, AccountsError> {
        let payers = self.payers(user, session).await?;
        let statuses = self.stores.budgets.statuses(&payers).await?;
        match statuses.iter().find_map(domain::BudgetStatus::refusal) {
            Some(exhausted) => self.explain(user, exhausted).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn accounts(
        &self,
        owner: &Owner,
        user: UserId,
        session: Option<SessionId>,
        at: Timestamp,
    ) -> Result<Vec<Account>, UnknownTimeZone> {
        let month = month_of(at, &owner.time_zone)?;
        let mut accounts =
            vec![Account { spender: Spender::User(user), period: month, default: self.settings.user_budget }];
        if let Some(team) = &owner.team {
            let period = month_of(at, NOBODYS_ZONE)?;
            accounts.push(Account { spender: Spender::Team(team.clone()), period, default: None });
        }
        if let Some(session) = session {
            let (spender, period) = (Spender::Session(session), BudgetPeriod::default());
            accounts.push(Account { spender, period, default: None });
        }
        Ok(accounts)
    }

    pub(super) async fn owner(&self, user: UserId) -> Result<Arc<Owner>, AccountsError> {
        if let Some(owner) = self.owners.recall(user) {
            return Ok(owner);
        }
        let found = self.stores.accounts.user(user).await?.ok_or(AccountsError::NoUser)?;
        let owner = Arc::new(Owner { team: found.team, time_zone: found.time_zone });
        self.owners.note(user, owner.clone());
        Ok(owner)
    }
}

/// Why nothing is sent, and until when.
pub(super) fn used_up(owner: &Owner, exhausted: Exhausted, at: Timestamp) -> Result<UsedUp, UnknownTimeZone> {
    let renews_at = owner.renews_at(&exhausted.spender, at)?;
    Ok(UsedUp { exhausted, renews_at })
}

impl Owners {
    fn recall(&self, user: UserId) -> Option<Arc<Owner>> {
        let owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (noted, owner) = owners.get(&user)?;
        (noted.elapsed() < OWNER_REMEMBERED).then(|| owner.clone())
    }

    fn note(&self, user: UserId, owner: Arc<Owner>) {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.len() >= OWNERS_MAX {
            owners.clear();
        }
        owners.insert(user, (Instant::now(), owner));
    }
}
