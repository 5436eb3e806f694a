//! Money that is held for a request before it comes: while an agent makes the first request of its turn, what that will
//! probably cost at most is set aside already, and the request need not wait for it.

use std::sync::Arc;

use domain::{MicroUsd, RequestUsageId, TurnId};
use monitoring::Ask;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::{agents::Agent, books::Books, limits::AHEAD_TOKENS_ADDED, prices::Bound};

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
    hold: Hold,
    /// The model that it was held for, and how much.
    model: String,
    most: MicroUsd,
    holding: Option<JoinHandle<bool>>,
}

/// What identifies a hold that a request takes over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold(pub(crate) RequestUsageId);

impl Ahead {
    /// Begins to hold money for this agent's first request of the turn, as the precedent tells what that will be: it has
    /// a prompt more, and an answer.
    pub(crate) fn begin(books: &Arc<Books>, agent: &Agent, turn: TurnId, precedent: Precedent) -> Self {
        let Precedent { model, mut bound } = precedent;
        bound.input_tokens = bound.input_tokens.saturating_add(AHEAD_TOKENS_ADDED);
        let prices = books.prices.current();
        let hold = Hold(RequestUsageId::new());
        let ask = Ask {
            id: hold.0,
            session_id: agent.scope.session_id,
            user_id: agent.scope.user_id,
            turn_id: Some(turn),
            most: prices.most(&model, &bound),
            model: model.clone(),
            price_version: prices.version().to_owned(),
            at: books.now(),
        };
        let (most, costs, requests) = (ask.most, books.clone(), agent.requests.clone());
        let holding = requests.spawn_on(async move { costs.costs.try_admit(ask).await }, &books.runtime);
        Self { books: books.clone(), requests, hold, model, most, holding: Some(holding) }
    }

    /// The hold, for a request to this model that costs so much at most. Without one, the money there was for it has been
    /// given back: the request must not wait for its own.
    pub(crate) async fn take(mut self, model: &str, most: MicroUsd) -> Option<Hold> {
        let fits = self.model == model && self.most >= most;
        let holding = self.holding.as_mut()?;
        // One that failed holds nothing.
        let is_held = holding.await.unwrap_or(false);
        self.holding = None;
        if is_held && !fits {
            self.books.costs.release(self.hold.0).await;
        }
        (is_held && fits).then_some(self.hold)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let Some(holding) = self.holding.take() else { return };
        let (books, hold) = (self.books.clone(), self.hold);
        let giving_back = async move {
            if holding.await.unwrap_or(false) {
                books.costs.release(hold.0).await;
            }
        };
        // The agent's access ends once it is given back.
        drop(self.requests.spawn_on(giving_back, &self.books.runtime));
    }
}
