//! A row of `hold_accounts`: one of the budgets that a hold is of.

use crate::value::Reader;
use domain::{
    Budget, MicroUsd, WhenExhausted,
    budget::{Account, NewHold},
    ports::StoreResult,
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hold_accounts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hold_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub spender_kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub spender_key: String,
    pub period: String,
    pub amount_micro_usd: i64,
    pub default_limit_micro_usd: Option<i64>,
    pub default_when_exhausted: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(hold: &NewHold, account: &Account) -> Self {
        let default = account.default;
        Self {
            hold_id: hold.id.0,
            spender_kind: account.spender.kind().to_owned(),
            spender_key: account.spender.key(),
            period: account.period.0.clone(),
            amount_micro_usd: hold.amount.0,
            default_limit_micro_usd: default.map(|budget| budget.limit.0),
            default_when_exhausted: default.map(|budget| budget.when_exhausted.as_str().to_owned()),
        }
    }
}

/// The budget that two columns say, if they do.
pub(crate) fn budget_of(
    reader: Reader,
    limit: Option<i64>,
    when_exhausted: Option<&str>,
) -> StoreResult<Option<Budget>> {
    let (Some(limit), Some(word)) = (limit, when_exhausted) else { return Ok(None) };
    let when_exhausted = reader.word("when_exhausted", WhenExhausted::parse, word)?;
    Ok(Some(Budget { limit: MicroUsd(limit), when_exhausted }))
}
