//! Statements that are run together, and what came of them.

use super::{FromRow, Row};
use crate::error::failure;
use domain::{
    SessionId, UserId,
    ports::{StoreError, StoreResult, Wakeup},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbBackend, EntityTrait, Insert, InsertMany, Iterable, ModelTrait,
    QueryFilter, QueryTrait, Select, Statement, StatementBuilder, UpdateMany,
    sea_query::{Expr, IntoCondition, OnConflict, Query, UnionType},
};
use std::{collections::BTreeSet, marker::PhantomData};

/// Rows of one INSERT; a row has at most a few dozen values, and SQLite takes 32766 of them.
const ROWS_PER_INSERT: usize = 1000;

/// Statements in their order.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(super) backend: DbBackend,
    pub(super) statements: Vec<Planned>,
    /// Whether they are few, and each finds its rows by their keys.
    pub(super) is_quick: bool,
    /// What other servers are told of once this is committed.
    pub(super) woken: BTreeSet<Wakeup>,
}

/// A statement, and whether it answers with rows.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) statement: Statement,
    pub(super) has_rows: bool,
}

/// Where in the answers the rows of a statement are, and what they are.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    at: usize,
    row: PhantomData<fn() -> T>,
}

/// What the statements of a batch answered.
#[derive(Debug)]
pub(crate) struct Answers(pub(super) Vec<Answer>);

/// What one statement answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    pub(super) affected: u64,
}

impl Batch {
    pub(super) fn new(backend: DbBackend) -> Self {
        Self { backend, statements: Vec::new(), is_quick: false, woken: BTreeSet::new() }
    }

    /// Reads rows as they are stored.
    pub(crate) fn select<E: EntityTrait>(&mut self, rows: Select<E>) -> Rows<E::Model> {
        self.select_as(rows)
    }

    /// Reads some columns, or something else than a column.
    pub(crate) fn select_as<T>(&mut self, rows: impl QueryTrait) -> Rows<T> {
        let statement = rows.build(self.backend);
        self.push(statement, true)
    }

    /// Changes rows.
    pub(crate) fn run(&mut self, statement: impl QueryTrait) {
        let statement = statement.build(self.backend);
        self.push::<()>(statement, false);
    }

    /// Changes rows and reads them as they are now.
    pub(crate) fn update_returning<E: EntityTrait>(&mut self, update: UpdateMany<E>) -> Rows<E::Model> {
        let columns = E::Column::iter().map(|c| c.select_as(c.into_returning_expr(self.backend)));
        let mut update = update.into_query();
        update.returning(Query::returning().exprs(columns));
        let statement = StatementBuilder::build(&update, &self.backend);
        self.push(statement, true)
    }

    /// Changes rows by a statement that is built by hand.
    pub(crate) fn run_built(&mut self, statement: &impl StatementBuilder) {
        let statement = StatementBuilder::build(statement, &self.backend);
        self.push::<()>(statement, false);
    }

    /// Reads rows by a statement that is built by hand.
    pub(crate) fn select_built<T>(&mut self, statement: &impl StatementBuilder) -> Rows<T> {
        let statement = StatementBuilder::build(statement, &self.backend);
        self.push(statement, true)
    }

    /// Adds those of these rows that are not there, if the condition holds for them all.
    pub(crate) fn insert_if<M: ModelTrait>(&mut self, rows: &[M], condition: &Expr) -> StoreResult<()> {
        let columns = || <M::Entity as EntityTrait>::Column::iter();
        let mut selects = rows.iter().map(|row| {
            let values = columns().map(|column| Expr::value(row.get(column)));
            Query::select().exprs(values).and_where(condition.clone()).take()
        });
        let Some(mut first) = selects.next() else { return Ok(()) };
        first.unions(selects.map(|next| (UnionType::All, next)));
        let mut insert = Query::insert();
        insert.into_table(M::Entity::default()).columns(columns());
        insert.select_from(first).map_err(|error| StoreError::Failed(Box::new(error)))?;
        insert.on_conflict(OnConflict::new().do_nothing().to_owned());
        self.run_built(&insert);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Adds a row.
    pub(crate) fn insert<A: ActiveModelTrait>(&mut self, row: A) {
        self.run(Insert::one(row));
    }

    /// Writes all columns of the row that has this id.
    pub(crate) fn replace<A: ActiveModelTrait>(&mut self, id: impl IntoCondition, row: A) {
        self.run(A::Entity::update_many().set(row.reset_all()).filter(id));
    }

    /// Adds rows, in as many statements as it takes.
    pub(crate) fn insert_all<A: ActiveModelTrait>(&mut self, mut rows: Vec<A>) {
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(ROWS_PER_INSERT));
            self.run(InsertMany::many(rows));
            rows = rest;
        }
    }

    /// Has other servers look at this session once this is committed.
    pub(crate) fn wake(&mut self, session: SessionId) {
        self.woken.insert(Wakeup::Session(session));
    }

    /// Has everybody look again at what this user is let in by once this is committed.
    pub(crate) fn wake_account(&mut self, user: UserId) {
        self.woken.insert(Wakeup::Account(user));
    }

    /// Whether this changes whom credentials let in.
    pub(super) fn changes_accounts(&self) -> bool {
        self.woken.iter().any(|woken| matches!(woken, Wakeup::Account(_)))
    }

    fn push<T>(&mut self, statement: Statement, has_rows: bool) -> Rows<T> {
        self.statements.push(Planned { statement, has_rows });
        Rows { at: self.statements.len() - 1, row: PhantomData }
    }
}

impl Answers {
    /// All rows of one statement.
    pub(crate) fn all<T: FromRow>(&mut self, rows: Rows<T>) -> StoreResult<Vec<T>> {
        let rows = self.0.get_mut(rows.at).map(|answer| std::mem::take(&mut answer.rows)).unwrap_or_default();
        rows.iter().map(|row| T::from_row(row).map_err(failure)).collect()
    }

    /// How many rows the last statement changed.
    pub(crate) fn affected(&self) -> u64 {
        self.0.last().map_or(0, |answer| answer.affected)
    }

    /// The first row of one statement.
    pub(crate) fn first<T: FromRow>(&mut self, rows: Rows<T>) -> StoreResult<Option<T>> {
        Ok(self.all(rows)?.into_iter().next())
    }
}
