//! Idempotency keys.

use super::{MemoryStore, State};
use async_trait::async_trait;
use domain::{
    idempotency::{Claim, KeyLimits, KeyedRequest},
    ports::{IdempotencyKeys, StoreResult},
};
use jiff::Timestamp;
use uuid::Uuid;

/// A key, the request that it stands for, and what that was answered.
#[derive(Debug)]
pub(super) struct StoredKey {
    request: KeyedRequest,
    answer: Option<Vec<u8>>,
}

#[async_trait]
impl IdempotencyKeys for MemoryStore {
    async fn claim_key(&self, request: &KeyedRequest, limits: &KeyLimits) -> StoreResult<Claim> {
        let mut state = self.state();
        let key = (request.owner.clone(), request.key);
        let is_live = |stored: &StoredKey| stored.request.at >= limits.forgotten_before;
        if let Some(stored) = state.idempotency_keys.get(&key).filter(|stored| is_live(stored)) {
            return Ok(match &stored.answer {
                _ if stored.request.fingerprint != request.fingerprint => Claim::OtherRequest,
                Some(answer) => Claim::Answered(answer.clone()),
                None if stored.request.claimed_until > request.at => Claim::Running,
                None => Claim::Unknown,
            });
        }
        let own = state.idempotency_keys.values();
        let own: Vec<_> =
            own.filter(|stored| stored.request.owner == request.owner && is_live(stored)).collect();
        let bytes: usize = own.iter().filter_map(|stored| stored.answer.as_ref()).map(Vec::len).sum();
        if own.len() as u64 >= limits.keys_max || bytes as u64 >= limits.bytes_max {
            return Ok(Claim::Full);
        }
        state.idempotency_keys.insert(key, StoredKey { request: request.clone(), answer: None });
        Ok(Claim::Mine)
    }

    async fn renew_claim(&self, attempt: Uuid, until: Timestamp) -> StoreResult<()> {
        if let Some(stored) = self.state().open_key(attempt) {
            stored.request.claimed_until = until;
        }
        Ok(())
    }

    async fn keep_answer(&self, attempt: Uuid, answer: &[u8]) -> StoreResult<()> {
        if let Some(stored) = self.state().open_key(attempt) {
            stored.answer = Some(answer.to_vec());
        }
        Ok(())
    }

    async fn release_key(&self, attempt: Uuid) -> StoreResult<()> {
        let is_this = |stored: &StoredKey| stored.request.attempt == attempt && stored.answer.is_none();
        self.state().idempotency_keys.retain(|_, stored| !is_this(stored));
        Ok(())
    }

    async fn forget_keys(&self, before: Timestamp) -> StoreResult<u64> {
        let mut state = self.state();
        let kept = state.idempotency_keys.len();
        state.idempotency_keys.retain(|_, stored| stored.request.at >= before);
        Ok((kept - state.idempotency_keys.len()) as u64)
    }
}

impl State {
    fn open_key(&mut self, attempt: Uuid) -> Option<&mut StoredKey> {
        let mut keys = self.idempotency_keys.values_mut();
        keys.find(|stored| stored.request.attempt == attempt && stored.answer.is_none())
    }
}
