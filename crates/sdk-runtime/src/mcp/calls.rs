//! The open requests of one session: how many there may be, and which one a withdrawal means.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// Open requests by a number of our own. Ids of the agent begin anew with each of its connections, so two
/// open requests may have the same one.
#[derive(Debug)]
pub(super) struct Calls {
    open: Mutex<Open>,
    open_max: usize,
}

#[derive(Debug, Default)]
struct Open {
    by_key: BTreeMap<i64, (Value, CancellationToken)>,
    key_next: i64,
}

/// The place of one open request. When it is dropped unfinished, the token fires.
#[derive(Debug)]
pub(super) struct Seat {
    calls: Arc<Calls>,
    key: i64,
    token: CancellationToken,
    is_finished: bool,
}

impl Calls {
    pub(super) fn new(open_max: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), open_max })
    }

    /// Takes a request in, or `None` when too many are open.
    pub(super) fn begin(self: &Arc<Self>, id: &Value) -> Option<Seat> {
        let token = CancellationToken::new();
        let mut open = self.lock();
        if open.by_key.len() >= self.open_max {
            return None;
        }
        let key = open.key_next;
        open.key_next = key.wrapping_add(1);
        open.by_key.insert(key, (id.clone(), token.clone()));
        drop(open);
        Some(Seat { calls: Arc::clone(self), key, token, is_finished: false })
    }

    /// Withdraws the newest request with this id. Whether there was one.
    pub(super) fn cancel(&self, id: &Value) -> bool {
        let open = self.lock();
        let newest = open.by_key.values().rev().find(|(open_id, _)| open_id == id);
        let token = newest.map(|(_, token)| token.clone());
        drop(open);
        // Outside the lock, because it wakes whoever waits.
        token.inspect(CancellationToken::cancel).is_some()
    }

    /// Withdraws all.
    pub(super) fn cancel_all(&self) {
        let tokens: Vec<_> = self.lock().by_key.values().map(|(_, token)| token.clone()).collect();
        tokens.iter().for_each(CancellationToken::cancel);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(super) fn key(&self) -> i64 {
        self.key
    }

    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The request has its answer; the token no longer fires.
    pub(super) fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.calls.lock().by_key.remove(&self.key);
        if !self.is_finished {
            self.token.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_withdrawal_means_the_newest_request_with_its_id() {
        let calls = Calls::new(2);
        let old = calls.begin(&json!(4)).unwrap();
        let new = calls.begin(&json!(4)).unwrap();
        assert!(calls.begin(&json!(5)).is_none(), "two are open");
        assert!(calls.cancel(&json!(4)));
        assert!(new.token().is_cancelled() && !old.token().is_cancelled());
        assert!(!calls.cancel(&json!("4")));
        drop(new);
        let token = old.token().clone();
        old.finish();
        assert!(!token.is_cancelled());
        assert!(!calls.cancel(&json!(4)));
    }

    #[test]
    fn a_seat_that_is_dropped_unfinished_fires_its_token() {
        let calls = Calls::new(1);
        let token = calls.begin(&json!(1)).unwrap().token().clone();
        assert!(token.is_cancelled());
    }
}
