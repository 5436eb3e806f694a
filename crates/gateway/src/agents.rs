//! Who may speak to the model: tokens, what they are booked on, and what of theirs is in flight.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{AgentScope, TurnId, budget::UsedUp};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ahead::{Ahead, Precedent},
    books::Books,
    limits::{REPORTS_PER_AGENT_MAX, REQUESTS_PER_AGENT_MAX},
    prices::Bound,
};

const TOKEN_BYTES: usize = 32;

/// One admitted agent process.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) scope: AgentScope,
    account: Mutex<Account>,
    /// Permits for requests in flight.
    pub(crate) slots: Arc<Semaphore>,
    /// Permits for reports that are being read.
    pub(crate) reports: Semaphore,
    /// Counts requests that are in flight or being booked. It is closed from the start, so that waiting for it
    /// means waiting for a moment without any.
    pub(crate) requests: TaskTracker,
    /// Counts bookings under way; closed from the start as well.
    pub(crate) bookings: TaskTracker,
    /// Cuts off what is still in flight.
    pub(crate) cut: CancellationToken,
}

impl Agent {
    fn new(scope: AgentScope) -> Self {
        let (requests, bookings) = (TaskTracker::new(), TaskTracker::new());
        requests.close();
        bookings.close();
        Self {
            scope,
            account: Mutex::default(),
            slots: Arc::new(Semaphore::new(REQUESTS_PER_AGENT_MAX)),
            reports: Semaphore::new(REPORTS_PER_AGENT_MAX),
            requests,
            bookings,
            cut: CancellationToken::new(),
        }
    }

    /// The turn that requests are booked on now.
    pub(crate) fn turn(&self) -> Option<TurnId> {
        lock(&self.account).turn
    }

    /// Books requests that begin from now on to this turn, or to none.
    pub(crate) fn attribute(&self, turn: Option<TurnId>) {
        let mut account = lock(&self.account);
        // Not taken between two turns.
        account.precedent = turn.and_then(|_| account.largest.take());
        (account.turn, account.ahead, account.used_up) = (turn, None, None);
    }

    /// Has money held for the first request of the turn, if an earlier turn tells what it will be.
    pub(crate) fn expect_request(&self, books: &Arc<Books>) {
        let mut account = lock(&self.account);
        if let (Some(turn), Some(precedent)) = (account.turn, account.precedent.take()) {
            account.ahead = Some(Ahead::begin(books, self, turn, precedent));
        }
    }

    /// Notes what is being asked for.
    pub(crate) fn note_asked(&self, model: &str, bound: &Bound) {
        let mut account = lock(&self.account);
        if account.largest.as_ref().is_none_or(|largest| largest.bound.input_tokens <= bound.input_tokens) {
            account.largest = Some(Precedent { model: model.to_owned(), bound: bound.clone() });
        }
    }

    /// What is held for the next request, if it is the first of its turn.
    pub(crate) fn take_ahead(&self) -> Option<Ahead> {
        let mut account = lock(&self.account);
        account.precedent = None;
        account.ahead.take()
    }

    /// The budget for want of which the last request was refused.
    pub(crate) fn used_up(&self) -> Option<UsedUp> {
        lock(&self.account).used_up.clone()
    }

    /// Notes why a request was refused, or that there was money for one.
    pub(crate) fn note_used_up(&self, used_up: Option<UsedUp>) {
        lock(&self.account).used_up = used_up;
    }
}

/// What an agent's requests are booked on.
#[derive(Debug, Default)]
struct Account {
    turn: Option<TurnId>,
    used_up: Option<UsedUp>,
    ahead: Option<Ahead>,
    /// The largest request of the turn before, until this turn's first is expected.
    precedent: Option<Precedent>,
    /// The largest request since the turn began: the next turn goes on from there.
    largest: Option<Precedent>,
}

/// All admitted agents, by the hash of their token.
///
/// The token itself is not kept, and looking up a hash tells nothing about it by the time it takes.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    by_hash: Mutex<HashMap<[u8; 32], Arc<Agent>>>,
}

impl Agents {
    /// Admits an agent and makes up its token.
    pub(crate) fn admit(&self, scope: AgentScope) -> String {
        let token = new_token();
        lock(&self.by_hash).insert(hash(&token), Arc::new(Agent::new(scope)));
        token
    }

    pub(crate) fn find(&self, token: &str) -> Option<Arc<Agent>> {
        lock(&self.by_hash).get(&hash(token)).cloned()
    }

    /// Forgets the token; requests in flight go on.
    pub(crate) fn remove(&self, token: &str) -> Option<Arc<Agent>> {
        lock(&self.by_hash).remove(&hash(token))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Agent>> {
        lock(&self.by_hash).values().cloned().collect()
    }
}

pub(crate) fn new_token() -> String {
    let mut token = String::with_capacity(2 * TOKEN_BYTES);
    for byte in rand::random::<[u8; TOKEN_BYTES]>() {
        // Writing to a string cannot fail.
        let _written = write!(token, "{byte:02x}");
    }
    token
}

pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No change under these locks can be left half done, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
