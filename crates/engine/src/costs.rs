//! What people may know and decide about money.

use crate::{Error, FieldError, Result, SessionManager};
use domain::{
    Budget, Caller, Expected, Page, PageRequest, Role, Session, SessionId, Spender, UserId, WhenExhausted,
    ports::StoreError,
};
use monitoring::{
    CostTracker,
    costs::{Breakdown, BudgetView, CostAsked, CostError, CostReport},
};
use std::sync::Arc;

/// Answers what was spent and may be spent, to those whom it concerns. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CostManager {
    tracker: Arc<CostTracker>,
    sessions: SessionManager,
}

impl CostManager {
    /// Wires the manager up.
    #[must_use]
    pub fn new(tracker: Arc<CostTracker>, sessions: SessionManager) -> Self {
        Self { tracker, sessions }
    }

    /// What a user spent: their own to know, and admins'.
    pub async fn of_user(&self, caller: &Caller, user: UserId, asked: &CostAsked) -> Result<CostReport> {
        only_own(caller, user)?;
        Ok(self.tracker.user_report(user, asked).await?)
    }

    /// What the users of a team spent. Admins only: it names what others did.
    pub async fn of_team(&self, caller: &Caller, team: String, asked: &CostAsked) -> Result<CostReport> {
        only_admins(caller)?;
        Ok(self.tracker.team_report(team, asked).await?)
    }

    /// What everybody spent. Admins only.
    pub async fn of_all(&self, caller: &Caller, asked: &CostAsked) -> Result<CostReport> {
        only_admins(caller)?;
        Ok(self.tracker.total_report(asked).await?)
    }

    /// What a session cost so far: its owner's to know, and admins'.
    pub async fn of_session(
        &self,
        caller: &Caller,
        id: SessionId,
        breakdown: Breakdown,
    ) -> Result<(Session, CostReport)> {
        let session = self.session(caller, id).await?;
        let report = self.tracker.session_report(&session, breakdown).await?;
        Ok((session, report))
    }

    /// A budget and what is spent of it. Those of a team are also told to whoever is in it.
    pub async fn budget(&self, caller: &Caller, spender: Spender) -> Result<BudgetView> {
        match &spender {
            Spender::User(user) => only_own(caller, *user)?,
            Spender::Team(name) => self.only_members(caller, name).await?,
            Spender::Session(id) => drop(self.session(caller, *id).await?),
        }
        Ok(self.tracker.budget(spender).await?)
    }

    /// Sets a budget, or returns to what holds without one. Of users and teams admins decide, of a session its owner may
    /// too. Without a manner the server's usual one holds for users, and `block` for the others.
    pub async fn set_budget(
        &self,
        caller: &Caller,
        spender: Spender,
        budget: Option<(domain::MicroUsd, Option<WhenExhausted>)>,
        expected: &Expected,
    ) -> Result<BudgetView> {
        let usual = match &spender {
            Spender::User(_) => {
                only_admins(caller)?;
                self.tracker.usual_manner()
            }
            Spender::Team(_) => {
                only_admins(caller)?;
                WhenExhausted::default()
            }
            Spender::Session(id) => {
                self.session(caller, *id).await?;
                WhenExhausted::default()
            }
        };
        let budget = budget.map(|(limit, manner)| Budget { limit, when_exhausted: manner.unwrap_or(usual) });
        Ok(self.tracker.set_budget(spender, budget, expected, &caller.origin()).await?)
    }

    /// Everybody and everything that has a budget of its own. Admins only.
    pub async fn own_budgets(&self, caller: &Caller, page: &PageRequest) -> Result<Page<BudgetView>> {
        only_admins(caller)?;
        Ok(self.tracker.own_budgets(page).await?)
    }

    /// The session, if it is the caller's to know. To others it is not told whether there is one.
    async fn session(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        match self.sessions.get(caller, id).await {
            Err(Error::NotFound(_)) if caller.role != Role::Admin => Err(OTHERS),
            found => found,
        }
    }

    async fn only_members(&self, caller: &Caller, team: &str) -> Result<()> {
        if caller.role == Role::Admin || self.tracker.team_of(caller.user_id).await?.as_deref() == Some(team)
        {
            return Ok(());
        }
        Err(OTHERS)
    }
}

const OTHERS: Error = Error::Forbidden("the costs of others are told to admins only");

fn only_own(caller: &Caller, user: UserId) -> Result<()> {
    if caller.scope().covers(user) { Ok(()) } else { Err(OTHERS) }
}

fn only_admins(caller: &Caller) -> Result<()> {
    match caller.role {
        Role::Admin => Ok(()),
        Role::Member | Role::Viewer => Err(Error::Forbidden("only admins do this")),
    }
}

impl From<CostError> for Error {
    fn from(error: CostError) -> Self {
        match error {
            CostError::NotFound(what) => Self::NotFound(what),
            // What is stored was checked when it came.
            CostError::TimeZone(_) => {
                Self::Store(StoreError::Inconsistent { table: "users", column: "time_zone" })
            }
            CostError::BeyondCalendar(_) => {
                Self::Invalid(vec![FieldError::new("?at", "range", "is beyond the calendar")])
            }
            CostError::Store(error) => Self::Store(error),
        }
    }
}
