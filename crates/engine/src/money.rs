//! Money: a prompt for which there is none is refused, and a session that a budget has paused goes on when there is some.

use crate::{Error, Result, SessionManager};
use domain::{Caller, SessionId, TurnId, UserId, turn::NewTurn};
use monitoring::AccountsError;
use serde_json::json;
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

/// Paused sessions that one round looks at.
const ROUND_MAX: u32 = 10_000;
/// What an agent is told whose budget has money again.
const GO_ON: &str =
    "You were stopped because a budget was used up. There is money again: go on where you were stopped.";

impl SessionManager {
    /// Sessions that wait for money are looked at soon: a budget was set.
    pub fn budget_changed(&self) {
        self.inner.costs.budget_changed();
    }

    /// Makes sure that the caller may spend anything, before something of theirs is made that would only spend.
    pub async fn check_budget(&self, caller: &Caller) -> Result<()> {
        self.afford(caller.user_id, None).await
    }

    /// Makes sure that there is money for another request. The gate has the last word: it asks before each one.
    pub(crate) async fn afford(&self, user: UserId, session: Option<SessionId>) -> Result<()> {
        match self.inner.costs.used_up(user, session).await? {
            None => Ok(()),
            Some(used_up) => Err(Error::BudgetExhausted(Box::new(used_up))),
        }
    }

    /// Settles what is lost, and lets those go on that have money again.
    pub(crate) async fn keep_money(&self) -> Result<()> {
        self.inner.costs.tidy().await?;
        self.go_on_with_money().await
    }

    /// Looks whenever a budget was set by way of this server.
    pub(crate) async fn watch_budgets(&self, cancelled: CancellationToken) {
        while cancelled.run_until_cancelled(self.inner.costs.budget_was_changed()).await.is_some() {
            if let Err(error) = self.go_on_with_money().await {
                tracing::debug!(%error, "sessions have to wait for the next round to go on");
            }
        }
    }

    async fn go_on_with_money(&self) -> Result<()> {
        if self.admit_work().is_err() {
            return Ok(());
        }
        // Many sessions of one user wait for the same budget.
        let mut has_money: HashMap<UserId, bool> = HashMap::new();
        for (session_id, user) in self.inner.stores.turns.paused_by_budget(self.server(), ROUND_MAX).await? {
            let user_has = match has_money.get(&user) {
                Some(has) => *has,
                None => *has_money.entry(user).or_insert(self.has_money(user, None).await),
            };
            if !user_has || !self.has_money(user, Some(session_id)).await {
                continue;
            }
            let (id, prompt, at) = (TurnId::new(), json!(GO_ON), self.inner.clock.now());
            let turn = NewTurn { id, session_id, prompt, payers: Vec::new(), at };
            let events = self.inner.stores.turns.go_on_with_money(&turn).await?;
            if !events.is_empty() {
                self.inner.feed.publish(events);
                self.admit_later();
            }
        }
        Ok(())
    }

    /// Unsure means no; the next round asks again.
    async fn has_money(&self, user: UserId, session: Option<SessionId>) -> bool {
        match self.inner.costs.used_up(user, session).await {
            Ok(used_up) => used_up.is_none(),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not see whether there is money"
                );
                false
            }
        }
    }
}

impl From<AccountsError> for Error {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::Store(error) => Self::Store(error),
            AccountsError::NoUser => Self::Internal("find whose money it is"),
            AccountsError::TimeZone(_) => Self::Internal("tell in which month the user lives"),
        }
    }
}
