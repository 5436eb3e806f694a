//! A row of `budgets`: what somebody set for a spender.

use crate::value::Reader;
use domain::{Budget, MicroUsd, Spender, WhenExhausted, ports::StoreError};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "budgets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub spender_kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub spender_key: String,
    pub limit_micro_usd: i64,
    pub when_exhausted: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(spender: &Spender, budget: Budget) -> Self {
        Self {
            spender_kind: spender.kind().to_owned(),
            spender_key: spender.key(),
            limit_micro_usd: budget.limit.0,
            when_exhausted: budget.when_exhausted.as_str().to_owned(),
        }
    }
}

impl TryFrom<Model> for (Spender, Budget) {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("budgets");
        let spender = Spender::parse(&row.spender_kind, &row.spender_key);
        let when_exhausted = reader.word("when_exhausted", WhenExhausted::parse, &row.when_exhausted)?;
        let budget = Budget { limit: MicroUsd(row.limit_micro_usd), when_exhausted };
        Ok((spender.ok_or(reader.inconsistent("spender_key"))?, budget))
    }
}
