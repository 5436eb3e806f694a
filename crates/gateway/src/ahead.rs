//! Money that is held for a request before it comes: while an agent makes the first request of its turn, what that will
//! probably cost at most is set aside already, and the request need not wait for it.

use std::sync::Arc;

use domain::{MicroUsd, RequestUsageId, TurnId};
use monitoring::Ask;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use crate::{
    agents::Agent,
    books::Books,
    limits::{AHEAD_DELAY, AHEAD_LASTS, AHEAD_TOKENS_ADDED},
    prices::Bound,
};

/// What an agent asked for: by it one can tell what it will ask for next.
#[derive(Debug, Clone)]
pub(crate) struct Precedent {
    pub(crate) model: String,
    pub(crate) bound: Bound,
}

/// A hold for one request to come. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Ahead {
    books: Arc<Books>,
    requests: TaskTracker,
    id: RequestUsageId,
    model: String,
    most: MicroUsd,
    began: Instant,
    /// Has it held at once; without this it is not held any more.
    wanted: Option<oneshot::Sender<()>>,
    /// Whether there was money; until that was asked for.
    holding: Option<JoinHandle<bool>>,
}

impl Ahead {
    /// Begins to hold money for this agent's first request of the turn. It goes on from the precedent, with a prompt and
    /// an answer more.
    pub(crate) fn begin(books: &Arc<Books>, agent: &Agent, turn: TurnId, precedent: Precedent) -> Self {
        let Precedent { model, mut bound } = precedent;
        let of_advisors = bound.advisors.iter_mut().map(|advisor| &mut advisor.input_tokens);
        for input in std::iter::once(&mut bound.input_tokens).chain(of_advisors) {
            *input = input.saturating_add(AHEAD_TOKENS_ADDED);
        }
        let (id, prices) = (RequestUsageId::new(), books.prices.current());
        let most = prices.most(&model, &bound);
        let ask = Ask {
            id,
            session_id: agent.scope.session_id,
            user_id: agent.scope.user_id,
            turn_id: Some(turn),
            most,
            model: model.clone(),
            price_version: prices.version().to_owned(),
            at: books.now(),
        };
        let (asked, requests) = (books.clone(), agent.requests.clone());
        let (wanted, want) = oneshot::channel();
        let holding = async move { is_due(want).await && asked.costs.try_admit(ask).await };
        let holding = requests.spawn_on(holding, &books.runtime);
        let (books, began) = (books.clone(), Instant::now());
        Self { books, requests, id, model, most, began, wanted: Some(wanted), holding: Some(holding) }
    }

    /// The hold, for a request to this model that costs so much at most. `None` if nothing was held, or not for such a
    /// request, or long ago; then it was given back first, because the request must not wait for its own money.
    ///
    /// To be awaited to its end: what is held belongs to nobody in between.
    pub(crate) async fn take(mut self, model: &str, most: MicroUsd) -> Option<RequestUsageId> {
        if let Some(wanted) = self.wanted.take() {
            // If it is begun already, nobody listens.
            let _ = wanted.send(());
        }
        // One that failed holds nothing.
        if !self.holding.take()?.await.unwrap_or(false) {
            return None;
        }
        let is_fresh = self.began.elapsed() < AHEAD_LASTS;
        if is_fresh && self.model == model && self.most >= most {
            return Some(self.id);
        }
        self.books.costs.release(self.id).await;
        None
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let Some(holding) = self.holding.take() else { return };
        let (books, id) = (self.books.clone(), self.id);
        let giving_back = async move {
            if holding.await.unwrap_or(false) {
                books.costs.release(id).await;
            }
        };
        // Among the agent's requests, so that the end of its access waits for it.
        drop(self.requests.spawn_on(giving_back, &self.books.runtime));
    }
}

/// Waits until money is to be held: after a while, or as soon as somebody wants it. Not at all once nobody can.
async fn is_due(want: oneshot::Receiver<()>) -> bool {
    !matches!(timeout(AHEAD_DELAY, want).await, Ok(Err(_nobody)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn money_is_held_after_a_while_or_when_it_is_wanted() {
        let began = Instant::now();
        let (wanted, want) = oneshot::channel();
        wanted.send(()).unwrap();
        assert!(is_due(want).await);
        let (wanted, want) = oneshot::channel();
        drop(wanted);
        assert!(!is_due(want).await);
        assert_eq!(began.elapsed(), std::time::Duration::ZERO);

        let (_wanted, want) = oneshot::channel();
        assert!(is_due(want).await);
        assert!(began.elapsed() >= AHEAD_DELAY);
    }
}
