//! Idempotency keys: claimed once, answered once, and forgotten after their time.

use crate::{
    Store,
    entity::idempotency_key::{self, Column as K},
    unit::row,
    value::{micros, stored},
};
use async_trait::async_trait;
use domain::{
    idempotency::{Claim, KeyLimits, KeyedRequest},
    ports::{IdempotencyKeys, StoreError, StoreResult},
};
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect, UpdateMany,
    sea_query::{Expr, ExprTrait, LockType},
};
use uuid::Uuid;

row! {
    /// What one owner has.
    struct Kept {
        keys: i64,
        bytes: Option<i64>,
    }
}

#[async_trait]
impl IdempotencyKeys for Store {
    async fn claim_key(&self, request: &KeyedRequest, limits: &KeyLimits) -> StoreResult<Claim> {
        let live = K::CreatedAt.gte(micros(limits.forgotten_before));
        let mut reads = self.batch();
        let this = idempotency_key::Entity::find_by_id((request.owner.clone(), request.key.to_vec()));
        let row = reads.select(this.lock(LockType::Update));
        let kept = idempotency_key::Entity::find()
            .select_only()
            .column_as(K::KeySha256.count(), "keys")
            .column_as(K::AnswerBytes.sum().cast_as("bigint"), "bytes")
            .filter(K::Owner.eq(&request.owner))
            .filter(live);
        let kept = reads.select_as::<Kept>(kept);
        let (mut read, unit) = self.open(reads).await?;

        let mut writes = self.batch();
        if let Some(row) = read.first(row)? {
            if row.created_at >= micros(limits.forgotten_before) {
                return Ok(standing(row, request));
            }
            let old = idempotency_key::Entity::delete_many()
                .filter(K::Owner.eq(&request.owner))
                .filter(K::KeySha256.eq(request.key.to_vec()));
            writes.run(old);
        }
        if let Some(kept) = read.first(kept)?
            && (kept.keys >= stored(limits.keys_max)
                || kept.bytes.unwrap_or_default() >= stored(limits.bytes_max))
        {
            return Ok(Claim::Full);
        }
        writes.insert::<idempotency_key::ActiveModel>(idempotency_key::Model::from(request).into());
        match unit.commit(writes).await {
            Ok(_) => Ok(Claim::Mine),
            // On PostgreSQL two may find nothing there, and then one is first.
            Err(StoreError::Conflict { .. }) => Ok(Claim::Running),
            Err(error) => Err(error),
        }
    }

    async fn renew_claim(&self, attempt: Uuid, until: Timestamp) -> StoreResult<()> {
        let renew = open(attempt).col_expr(K::ClaimedUntil, Expr::value(micros(until)));
        self.write_one(renew).await.map(drop)
    }

    async fn keep_answer(&self, attempt: Uuid, answer: &[u8]) -> StoreResult<()> {
        let keep = open(attempt)
            .col_expr(K::Answer, Expr::value(answer.to_vec()))
            .col_expr(K::AnswerBytes, Expr::value(stored(answer.len())));
        self.write_one(keep).await.map(drop)
    }

    async fn release_key(&self, attempt: Uuid) -> StoreResult<()> {
        let release =
            idempotency_key::Entity::delete_many().filter(K::Attempt.eq(attempt)).filter(K::Answer.is_null());
        self.write_one(release).await.map(drop)
    }

    async fn forget_keys(&self, before: Timestamp) -> StoreResult<u64> {
        self.write_one(idempotency_key::Entity::delete_many().filter(K::CreatedAt.lt(micros(before)))).await
    }
}

/// The claim of this attempt, while nothing was answered.
fn open(attempt: Uuid) -> UpdateMany<idempotency_key::Entity> {
    idempotency_key::Entity::update_many().filter(K::Attempt.eq(attempt)).filter(K::Answer.is_null())
}

/// What a key that is there means to a request that comes with it.
fn standing(row: idempotency_key::Model, request: &KeyedRequest) -> Claim {
    match row.answer {
        _ if row.fingerprint != request.fingerprint => Claim::OtherRequest,
        Some(answer) => Claim::Answered(answer),
        None if row.claimed_until > micros(request.at) => Claim::Running,
        None => Claim::Unknown,
    }
}
