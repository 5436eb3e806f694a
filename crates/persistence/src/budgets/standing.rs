//! How accounts stand: what is spent and held of them, and which budget counts.

use super::account::{self, AccountRow, Figures, Key, key, of_spenders};
use crate::{
    entity::budget,
    unit::{Answers, Batch, Rows, Shape},
};
use domain::{Budget, BudgetStatus, Spender, budget::Account, ports::StoreResult};
use sea_orm::{EntityTrait, QueryFilter, QueryTrait};
use std::collections::HashMap;

/// Accounts as they stand.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    rows: HashMap<Key, (Figures, Option<Budget>)>,
    own: HashMap<Spender, Budget>,
}

impl Standing {
    /// What an account's row says of it, and of its spender's own budget.
    pub(super) fn add_row(&mut self, row: &AccountRow) -> StoreResult<()> {
        self.rows.insert(row.key(), (row.figures(), row.own()?));
        Ok(())
    }

    /// A budget whose account may have no row yet.
    pub(super) fn add_budget(&mut self, row: budget::Model) -> StoreResult<()> {
        let (spender, budget) = row.try_into()?;
        self.own.insert(spender, budget);
        Ok(())
    }

    pub(super) fn has_row(&self, account: &Account) -> bool {
        self.rows.contains_key(&key(account))
    }

    pub(crate) fn of(&self, account: &Account) -> BudgetStatus {
        let nothing = || (Figures::default(), self.own.get(&account.spender).copied());
        let (Figures { spent, held }, own) = self.rows.get(&key(account)).copied().unwrap_or_else(nothing);
        BudgetStatus {
            spender: account.spender.clone(),
            period: account.period.clone(),
            budget: own.or(account.default),
            is_own: own.is_some(),
            spent,
            held,
        }
    }
}

/// Accounts that a unit of work looks at without a lock.
#[derive(Debug)]
pub(crate) struct Accounts(Option<(Rows<AccountRow>, Rows<budget::Model>)>);

impl Accounts {
    pub(crate) fn find(reads: &mut Batch, of: &[Account]) -> Self {
        Self((!of.is_empty()).then(|| {
            let rows = account::select(reads, of);
            let spender = |account: &Account| [account.spender.kind().into(), account.spender.key().into()];
            let budgets = || budget::Entity::find().filter(of_spenders(of)).into_query();
            let shape = Shape::named("budgets").with_count(of.len());
            (rows, reads.select_known(shape, of.iter().flat_map(spender), budgets))
        }))
    }

    pub(crate) fn standing(self, read: &mut Answers) -> StoreResult<Standing> {
        let mut standing = Standing::default();
        let Some((rows, budgets)) = self.0 else { return Ok(standing) };
        for row in read.all(rows)? {
            standing.add_row(&row)?;
        }
        for row in read.all(budgets)? {
            standing.add_budget(row)?;
        }
        Ok(standing)
    }
}
