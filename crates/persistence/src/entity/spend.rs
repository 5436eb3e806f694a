//! A row of `spend`: what a spender has spent in a period, and how much of that was told.

use domain::budget::Account;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, DeriveEntityModel)]
#[sea_orm(table_name = "spend")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub spender_kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub spender_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub period: String,
    pub spent_micro_usd: i64,
    pub told_percent: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Of an account that nothing was spent of.
    pub(crate) fn nothing(account: &Account) -> Self {
        Self {
            spender_kind: account.spender.kind().to_owned(),
            spender_key: account.spender.key(),
            period: account.period.0.clone(),
            spent_micro_usd: 0,
            told_percent: 0,
        }
    }
}
