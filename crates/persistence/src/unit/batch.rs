//! Statements that are run together, and what came of them.

use super::{FromRow, Row, Shape, Texts};
use crate::error::failure;
use domain::{
    SessionId, UserId,
    ports::{StoreError, StoreResult, Wakeup},
};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, DbBackend, EntityTrait, InsertMany, Iterable, ModelTrait,
    QueryFilter, QueryTrait, Select, Statement, StatementBuilder, UpdateMany, Value,
    prelude::Uuid,
    sea_query::{
        Expr, InsertStatement, IntoCondition, OnConflict, Query, UnionType, error::Error as InsertError,
    },
};
use std::{collections::BTreeSet, marker::PhantomData};

/// Rows of one INSERT; a row has at most a few dozen values, and SQLite takes 32766 of them.
const ROWS_PER_INSERT: usize = 1000;

/// Statements in their order.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(super) backend: DbBackend,
    pub(super) texts: Texts,
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
    pub(super) fn new(backend: DbBackend, texts: Texts) -> Self {
        Self { backend, texts, statements: Vec::new(), is_quick: false, woken: BTreeSet::new() }
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
        let statement = returning(update, self.backend);
        self.push(statement, true)
    }

    /// Changes rows by a statement whose text depends on nothing but its shape, with the subject's values in the text's
    /// order.
    pub(crate) fn run_known<S: Clone, Q: QueryTrait>(
        &mut self,
        shape: Shape,
        subject: S,
        make: impl FnOnce(S) -> Q,
        values: impl FnOnce(S) -> Vec<Value>,
    ) {
        let backend = self.backend;
        self.push_known::<_, ()>(shape, false, subject, |subject| make(subject).build(backend), values);
    }

    /// The same, and reads the rows as they are now.
    pub(crate) fn update_known_returning<S: Clone, E: EntityTrait>(
        &mut self,
        shape: Shape,
        subject: S,
        make: impl FnOnce(S) -> UpdateMany<E>,
        values: impl FnOnce(S) -> Vec<Value>,
    ) -> Rows<E::Model> {
        let backend = self.backend;
        self.push_known(shape, true, subject, |subject| returning(make(subject), backend), values)
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

    /// Adds those of these rows that are not there, if the condition holds for them all. The text depends on nothing but
    /// the shape; `its` are the condition's values, in its text's order.
    pub(crate) fn insert_if<M: ModelTrait>(
        &mut self,
        shape: Shape,
        rows: &[M],
        condition: impl FnOnce() -> Expr,
        its: &[Value],
    ) -> StoreResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let backend = self.backend;
        let mut made = Ok(());
        let make = |rows: &[M]| {
            let insert = insert_if(rows, &condition()).unwrap_or_else(|error| {
                made = Err(StoreError::Failed(Box::new(error)));
                Query::insert()
            });
            StatementBuilder::build(&insert, &backend)
        };
        let values =
            |rows: &[M]| rows.iter().flat_map(|row| values_of(row).chain(its.iter().cloned())).collect();
        self.push_known::<_, ()>(shape, false, rows, make, values);
        made
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Adds a row.
    pub(crate) fn insert<A: ActiveModelTrait>(&mut self, row: A) {
        self.insert_all(vec![row]);
    }

    /// Changes the columns that are given of the row that has this id.
    pub(crate) fn update<A: ActiveModelTrait>(
        &mut self,
        id_column: <A::Entity as EntityTrait>::Column,
        id: Uuid,
        changes: A,
    ) {
        let make = |changes: A| A::Entity::update_many().set(changes).filter(id_column.eq(id));
        let values = |changes: A| given(changes).chain([id.into()]).collect();
        self.run_known(Shape::update::<A::Entity>(columns(&changes)), changes, make, values);
    }

    /// Reads rows by a statement whose text depends on nothing but its shape.
    pub(crate) fn select_known<T, Q: StatementBuilder>(
        &mut self,
        shape: Shape,
        values: impl IntoIterator<Item = Value>,
        make: impl FnOnce() -> Q,
    ) -> Rows<T> {
        let backend = self.backend;
        let make = |()| StatementBuilder::build(&make(), &backend);
        self.push_known(shape, true, (), make, |()| values.into_iter().collect())
    }

    fn push_known<S: Clone, T>(
        &mut self,
        shape: Shape,
        has_rows: bool,
        subject: S,
        make: impl FnOnce(S) -> Statement,
        values: impl FnOnce(S) -> Vec<Value>,
    ) -> Rows<T> {
        let statement = self.texts.statement(self.backend, shape, subject, make, values);
        self.push(statement, has_rows)
    }

    /// Writes all columns of the row that has this id.
    pub(crate) fn replace<A: ActiveModelTrait>(&mut self, id: impl IntoCondition, row: A) {
        self.run(A::Entity::update_many().set(row.reset_all()).filter(id));
    }

    /// Adds rows, in as many statements as it takes.
    pub(crate) fn insert_all<A: ActiveModelTrait>(&mut self, mut rows: Vec<A>) {
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(ROWS_PER_INSERT));
            self.insert_at_once(rows);
            rows = rest;
        }
    }

    fn insert_at_once<A: ActiveModelTrait>(&mut self, rows: Vec<A>) {
        let given_of_first = rows.first().map_or(0, columns);
        if rows.iter().any(|row| columns(row) != given_of_first) {
            return self.run(InsertMany::many(rows));
        }
        let shape = Shape::insert::<A::Entity>(given_of_first, rows.len());
        let values = |rows: Vec<A>| rows.into_iter().flat_map(given).collect();
        self.run_known(shape, rows, InsertMany::many, values);
    }

    /// Has other servers look at this session once this is committed.
    pub(crate) fn wake(&mut self, session: SessionId) {
        self.woken.insert(Wakeup::Session(session));
    }

    /// Has everybody look again at what this user is let in by once this is committed.
    pub(crate) fn wake_account(&mut self, user: UserId) {
        self.woken.insert(Wakeup::Account(user));
    }

    /// Has other servers start this user's agents, or everybody's, anew once this is committed.
    pub(crate) fn wake_agents(&mut self, whose: Option<UserId>) {
        self.woken.insert(Wakeup::Agents(whose));
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

/// Which columns are given, a bit for each.
pub(crate) fn columns<A: ActiveModelTrait>(row: &A) -> u64 {
    debug_assert!(<A::Entity as EntityTrait>::Column::iter().count() <= 64, "every column has a bit");
    let columns = <A::Entity as EntityTrait>::Column::iter();
    columns
        .zip(0..u64::BITS)
        .filter(|(column, _)| !row.is_not_set(*column))
        .fold(0, |set, (_, at)| set | 1 << at)
}

/// What is given, in the order of the columns.
pub(crate) fn given<A: ActiveModelTrait>(mut row: A) -> impl Iterator<Item = Value> {
    <A::Entity as EntityTrait>::Column::iter().filter_map(move |column| match row.take(column) {
        ActiveValue::Set(value) | ActiveValue::Unchanged(value) => Some(value),
        ActiveValue::NotSet => None,
    })
}

fn values_of<M: ModelTrait>(row: &M) -> impl Iterator<Item = Value> {
    <M::Entity as EntityTrait>::Column::iter().map(|column| row.get(column))
}

fn insert_if<M: ModelTrait>(rows: &[M], condition: &Expr) -> Result<InsertStatement, InsertError> {
    let mut selects = rows.iter().map(|row| {
        let values = values_of(row).map(Expr::value);
        Query::select().exprs(values).and_where(condition.clone()).take()
    });
    let mut all = selects.next().unwrap_or_default();
    all.unions(selects.map(|next| (UnionType::All, next)));
    let mut insert = Query::insert();
    insert.into_table(M::Entity::default()).columns(<M::Entity as EntityTrait>::Column::iter());
    insert.select_from(all)?;
    Ok(insert.on_conflict(OnConflict::new().do_nothing().to_owned()).take())
}

fn returning<E: EntityTrait>(update: UpdateMany<E>, backend: DbBackend) -> Statement {
    let columns = E::Column::iter().map(|c| c.select_as(c.into_returning_expr(backend)));
    let mut update = update.into_query();
    update.returning(Query::returning().exprs(columns));
    StatementBuilder::build(&update, &backend)
}
