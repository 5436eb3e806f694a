//! A row of `idempotency_keys`.

use domain::idempotency::KeyedRequest;
use sea_orm::entity::prelude::*;

use crate::value::micros;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key_sha256: Vec<u8>,
    pub fingerprint: Vec<u8>,
    #[sea_orm(unique)]
    pub attempt: Uuid,
    pub created_at: i64,
    pub claimed_until: i64,
    pub answer_bytes: i64,
    pub answer: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&KeyedRequest> for Model {
    fn from(request: &KeyedRequest) -> Self {
        Self {
            owner: request.owner.clone(),
            key_sha256: request.key.to_vec(),
            fingerprint: request.fingerprint.to_vec(),
            attempt: request.attempt,
            created_at: micros(request.at),
            claimed_until: micros(request.claimed_until),
            answer_bytes: 0,
            answer: None,
        }
    }
}
