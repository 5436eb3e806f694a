//! Keys by which clients know their requests again, and what was answered.

use super::StoreResult;
use crate::idempotency::{Claim, KeyLimits, KeyedRequest};
use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

/// Idempotency keys.
#[async_trait]
pub trait IdempotencyKeys: Send + Sync {
    /// Claims the request's key, unless an earlier arrival has it. Of many at once, one gets it.
    async fn claim_key(&self, request: &KeyedRequest, limits: &KeyLimits) -> StoreResult<Claim>;

    /// Says that the request is still being carried out. Nothing happens if the claim is not there any more.
    async fn renew_claim(&self, attempt: Uuid, until: Timestamp) -> StoreResult<()>;

    /// Keeps what was answered for as long as the key is kept.
    async fn keep_answer(&self, attempt: Uuid, answer: &[u8]) -> StoreResult<()>;

    /// Gives the key up, for a request that came to nothing.
    async fn release_key(&self, attempt: Uuid) -> StoreResult<()>;

    /// Forgets the keys from before this instant; answers with how many there were.
    async fn forget_keys(&self, before: Timestamp) -> StoreResult<u64>;
}
