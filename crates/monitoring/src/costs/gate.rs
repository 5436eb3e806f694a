//! The gate: money is held before a request is sent, and what was spent is settled after.

use super::{
    AccountsError, CostTracker,
    accounts::{Owner, used_up},
};
use domain::{
    MicroUsd, RequestUsage, RequestUsageId, SessionId, TurnId, UserId,
    budget::{Held, NewHold, Settlement, UsedUp},
    ports::StoreResult,
};
use jiff::Timestamp;
use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, futures::Notified},
    time::{Instant, sleep, timeout_at},
};

/// How long a request waits for money that is held for others, before it is told to try again.
pub const HOLD_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a waiting request looks by itself: other servers settle without a word.
const HOLD_POLL: Duration = Duration::from_millis(250);
/// How often booking a request is tried.
const SETTLE_ATTEMPTS: u32 = 5;
/// Wait before the second attempt; it doubles with each further one.
const SETTLE_RETRY_DELAY: Duration = Duration::from_millis(50);
/// How many holds that could not be given back, and how many requests that could not be booked, are remembered for
/// another try.
const REMEMBERED_MAX: usize = 10_000;

/// A request to the model that asks to be let through.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The id under which it will be booked.
    pub id: RequestUsageId,
    pub session_id: SessionId,
    pub user_id: UserId,
    pub turn_id: Option<TurnId>,
    /// The most that it can cost.
    pub most: MicroUsd,
    pub model: String,
    pub price_version: String,
    pub at: Timestamp,
}

/// Why a request is not let through.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A budget is used up.
    #[error("spend more: {0}")]
    UsedUp(UsedUp),
    /// What is left is held for other requests, which did not end in time; some of it may come back.
    #[error("wait longer for money that is held for other requests")]
    Crowded,
    /// Whoever asked is gone.
    #[error("answer somebody who is gone")]
    Gone,
    /// It cannot be told whether there is money.
    #[error("ask the budgets")]
    Unknown(#[from] AccountsError),
}

/// Who waits here, and what is still to be given back.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Told when money may have come: a request was settled, or a budget set.
    money: Notify,
    /// Told when a budget was set here.
    budgets: Notify,
    unreleased: Mutex<Vec<RequestUsageId>>,
    unbooked: Mutex<Vec<RequestUsage>>,
}

impl CostTracker {
    /// Holds the most that the request can cost. While all that is left is held for others it waits, for a bounded time
    /// and not longer than `gone` takes.
    ///
    /// Dropping the future may leave a hold behind; whoever cannot wait for it makes `gone` end.
    pub async fn admit(&self, ask: Ask, gone: impl Future<Output = ()> + Send) -> Result<(), Refused> {
        if !self.settings.is_enabled {
            return Ok(());
        }
        let at = ask.at;
        let owner = self.owner(ask.user_id).await?;
        let hold = self.hold_of(ask, &owner)?;
        let until = Instant::now() + HOLD_WAIT_MAX;
        let (mut gone, mut waits) = (pin!(gone), false);
        loop {
            // Listened to before it is asked, so that nothing is missed in between.
            let money = self.gate.money.notified();
            match self.hold(&hold).await? {
                Held::Admitted => return Ok(()),
                Held::Exhausted(exhausted) => {
                    self.metrics.record_budget_refusal(exhausted.spender.kind());
                    return Err(Refused::UsedUp(
                        used_up(&owner, exhausted, at).map_err(AccountsError::from)?,
                    ));
                }
                Held::Wait(_) if Instant::now() >= until => return Err(Refused::Crowded),
                Held::Wait(_) => {
                    if !std::mem::replace(&mut waits, true) {
                        self.metrics.record_budget_wait();
                    }
                    tokio::select! {
                        () = next_look(money, until) => {}
                        () = &mut gone => return Err(Refused::Gone),
                    }
                }
            }
        }
    }

    /// Holds the most that a request to come can cost, if there is money for it at once: it will be asked for when it
    /// comes, otherwise, and whatever stands in its way is said then.
    pub async fn try_admit(&self, ask: Ask) -> bool {
        if !self.settings.is_enabled {
            return true;
        }
        let held = async {
            let owner = self.owner(ask.user_id).await?;
            self.hold(&self.hold_of(ask, &owner)?).await
        };
        match held.await {
            Ok(held) => held == Held::Admitted,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "no money is held ahead");
                false
            }
        }
    }

    fn hold_of(&self, ask: Ask, owner: &Owner) -> Result<NewHold, AccountsError> {
        let Ask { id, session_id, user_id, turn_id, most, model, price_version, at } = ask;
        let accounts = self.accounts(owner, user_id, Some(session_id), at)?;
        Ok(NewHold {
            id,
            session_id,
            user_id,
            turn_id,
            accounts,
            amount: most,
            server_id: self.settings.server,
            model,
            price_version,
            started_at: at,
        })
    }

    async fn hold(&self, hold: &NewHold) -> Result<Held, AccountsError> {
        match self.stores.budgets.hold(hold).await {
            Ok(held) => Ok(held),
            Err(error) => {
                // It may be held all the same: the answer is what was lost, perhaps.
                self.release(hold.id).await;
                Err(error.into())
            }
        }
    }

    /// Frees the hold of a request that was not sent.
    pub async fn release(&self, id: RequestUsageId) {
        if !self.settings.is_enabled {
            return;
        }
        if let Err(error) = self.stores.budgets.release(id).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a hold was not freed yet");
            remember(&self.gate.unreleased, [id]);
        }
        self.gate.money.notify_waiters();
    }

    /// Notes what a request under way has used so far; only a crash will ask for it, so it may fail.
    pub async fn note_seen(&self, seen: &RequestUsage) {
        if self.settings.is_enabled
            && let Err(error) = self.stores.budgets.note_seen(seen).await
        {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "what a request used so far is not noted"
            );
        }
    }

    /// Books a request that is over and frees its hold. Returns when that is on record, or was tried often enough:
    /// then it is tried again by [`Self::tidy`].
    pub async fn settle(&self, usage: &RequestUsage) {
        let mut delay = SETTLE_RETRY_DELAY;
        for attempt in 1..=SETTLE_ATTEMPTS {
            match self.book(usage).await {
                Ok(()) => break,
                Err(error) if attempt < SETTLE_ATTEMPTS => {
                    tracing::warn!(
                        attempt,
                        error = &error as &dyn std::error::Error,
                        "booking a request failed"
                    );
                    sleep(delay).await;
                    delay *= 2;
                }
                // The server may end before it is booked, so the log line says everything the row would.
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        ?usage,
                        "a request is not booked"
                    );
                    self.metrics.record_ledger_failure();
                    remember(&self.gate.unbooked, [usage.clone()]);
                }
            }
        }
        self.gate.money.notify_waiters();
    }

    async fn book(&self, usage: &RequestUsage) -> StoreResult<()> {
        let settlement = self.stores.budgets.settle(usage).await?;
        self.metrics.record_api_cost(usage);
        self.note_alerts(&settlement);
        Ok(())
    }

    /// Tries once more to book what could not be. The first that fails keeps the rest waiting: it takes as long as the
    /// store's time-outs to learn that it is still not there.
    async fn book_again(&self) {
        let mut unbooked = forget(&self.gate.unbooked).into_iter();
        while let Some(usage) = unbooked.next() {
            if let Err(error) = self.book(&usage).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "requests are still not booked");
                // Last, so that one which can never be booked stands in nobody's way.
                remember(&self.gate.unbooked, unbooked.chain([usage]));
                break;
            }
            tracing::info!(id = %usage.id, "a request is booked after all");
            self.gate.money.notify_waiters();
        }
    }

    /// Settles what an earlier life of this server left held: from what had been seen. Call it before the first request.
    pub async fn settle_earlier_life(&self) -> StoreResult<u64> {
        self.settle_lost(self.clock.now()).await
    }

    /// Settles what servers that are gone left held, and tries again what could not be booked or given back.
    pub async fn tidy(&self) -> StoreResult<u64> {
        self.book_again().await;
        for id in forget(&self.gate.unreleased) {
            self.release(id).await;
        }
        // Of this server only an earlier life can have lost some, and that was seen to at its start. A clock that was
        // set back meanwhile must not make requests of this life look like that.
        self.settle_lost(Timestamp::UNIX_EPOCH).await
    }

    async fn settle_lost(&self, since: Timestamp) -> StoreResult<u64> {
        let settled = self.stores.budgets.settle_lost(self.settings.server, since, self.clock.now()).await?;
        if settled > 0 {
            tracing::warn!(settled, "settled requests whose server is gone from what had been seen of them");
            self.gate.money.notify_waiters();
        }
        Ok(settled)
    }

    pub(super) fn note_alerts(&self, settlement: &Settlement) {
        for alert in &settlement.alerts {
            self.metrics.record_alert(alert);
        }
    }

    /// To be called when a budget was set here: who waits for money looks again at once.
    pub fn budget_changed(&self) {
        self.gate.money.notify_waiters();
        self.gate.budgets.notify_one();
    }

    /// Waits until a budget was set here, since this was asked last.
    pub async fn budget_was_changed(&self) {
        self.gate.budgets.notified().await;
    }
}

/// Keeps as many as there is room for.
fn remember<T>(list: &Mutex<Vec<T>>, more: impl IntoIterator<Item = T>) {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    let room = REMEMBERED_MAX.saturating_sub(list.len());
    list.extend(more.into_iter().take(room));
}

fn forget<T>(list: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *list.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Waits until it is worth asking again.
async fn next_look(money: Notified<'_>, until: Instant) {
    let poll = (Instant::now() + HOLD_POLL).min(until);
    // Whichever comes first.
    let _timed_out = timeout_at(poll, money).await;
}

#[cfg(test)]
mod tests;
