//! A row of `login_tallies`.

use crate::value::{Reader, micros, stored};
use domain::{login_throttle::Tally, ports::StoreResult};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "login_tallies")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key_sha256: Vec<u8>,
    pub failures: i64,
    pub last_at: i64,
    pub succeeded_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(key: [u8; 32], tally: Tally) -> Self {
        Self {
            key_sha256: key.to_vec(),
            failures: stored(tally.failures),
            last_at: micros(tally.last_at),
            succeeded_at: tally.succeeded_at.map(micros),
        }
    }

    pub(crate) fn read(&self) -> StoreResult<Tally> {
        let reader = Reader("login_tallies");
        Ok(Tally {
            failures: reader.figure("failures", self.failures)?,
            last_at: reader.instant("last_at", self.last_at)?,
            succeeded_at: reader.instant_if("succeeded_at", self.succeeded_at)?,
        })
    }
}
