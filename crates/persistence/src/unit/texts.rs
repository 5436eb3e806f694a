//! Texts of statements, kept for the next time.
//!
//! To make a statement's text takes longer than SQLite takes to run it. The text of a statement that every turn has is kept
//! under what it depends on, and goes with the values of the day. A debug build, which tests are, makes it anew all the
//! same, and fails where it or its values are others.

use sea_orm::{DbBackend, Statement, Value};
use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

/// More than these are not kept. There are some dozens, and lists of different lengths.
const TEXTS_MAX: usize = 512;
/// Longer lists are seldom met again.
const COUNT_MAX: usize = 32;

/// What a text depends on, besides the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    of: Of,
    /// Which columns are given, a bit for each.
    columns: u64,
    /// How many rows, or values of a list.
    count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Of {
    /// Rows of this entity.
    Insert(TypeId),
    /// A row of this entity.
    Update(TypeId),
    /// What this says.
    Named(&'static str),
}

/// The texts that are kept; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts(Arc<RwLock<HashMap<Shape, Arc<str>>>>);

impl Shape {
    pub(super) fn insert<E: 'static>(columns: u64, count: usize) -> Self {
        Self { of: Of::Insert(TypeId::of::<E>()), columns, count }
    }

    pub(super) fn update<E: 'static>(columns: u64) -> Self {
        Self { of: Of::Update(TypeId::of::<E>()), columns, count: 1 }
    }

    /// Of a statement that no other is named like.
    pub(crate) fn named(name: &'static str) -> Self {
        Self { of: Of::Named(name), columns: 0, count: 1 }
    }

    pub(crate) fn with_columns(self, columns: u64) -> Self {
        Self { columns, ..self }
    }

    pub(crate) fn with_count(self, count: usize) -> Self {
        Self { count, ..self }
    }
}

impl Texts {
    /// The statement of this shape for a subject: its text as it was made before, with what `values` takes out of the
    /// subject, in the text's order.
    pub(super) fn statement<S: Clone>(
        &self,
        backend: DbBackend,
        shape: Shape,
        subject: S,
        make: impl FnOnce(S) -> Statement,
        values: impl FnOnce(S) -> Vec<Value>,
    ) -> Statement {
        let text = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&shape).cloned();
        match text {
            Some(text) if cfg!(debug_assertions) => {
                let made = make(subject.clone());
                let known = Statement::from_sql_and_values(backend, &*text, values(subject));
                assert_eq!(made, known, "{shape:?}");
                known
            }
            Some(text) => Statement::from_sql_and_values(backend, &*text, values(subject)),
            None if shape.count > COUNT_MAX || self.is_full() => make(subject),
            None => {
                let made = make(subject.clone());
                let known = Statement::from_sql_and_values(backend, &*made.sql, values(subject));
                debug_assert_eq!(made, known, "{shape:?}");
                // Whatever a release build meets that no test has met is made anew each time rather than wrong.
                if made == known {
                    let mut texts = self.0.write().unwrap_or_else(PoisonError::into_inner);
                    texts.insert(shape, made.sql.as_str().into());
                }
                made
            }
        }
    }

    fn is_full(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len() >= TEXTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQLITE: DbBackend = DbBackend::Sqlite;

    fn made(text: &str, values: impl IntoIterator<Item = i64>) -> Statement {
        Statement::from_sql_and_values(SQLITE, text, values.into_iter().map(Value::from))
    }

    /// A statement of these values that is made with this text.
    fn ask(texts: &Texts, shape: Shape, text: &str, values: &[i64]) -> Statement {
        let make = |values: Vec<i64>| made(text, values);
        texts.statement(SQLITE, shape, values.to_vec(), make, |values| {
            values.into_iter().map(Value::from).collect()
        })
    }

    #[test]
    fn a_text_goes_with_the_values_of_the_day() {
        let texts = Texts::default();
        let (one, two) = (Shape::named("one"), Shape::named("one").with_count(2));
        for value in [1, 2] {
            assert_eq!(ask(&texts, one, "a = ?", &[value]), made("a = ?", [value]));
            assert_eq!(ask(&texts, two, "a IN (?, ?)", &[value, 3]), made("a IN (?, ?)", [value, 3]));
        }
        assert_eq!(texts.0.read().unwrap().len(), 2);
    }

    #[test]
    #[should_panic(expected = "one")]
    fn two_statements_of_one_name_are_found_out() {
        let texts = Texts::default();
        ask(&texts, Shape::named("one"), "a = ?", &[1]);
        ask(&texts, Shape::named("one"), "b = ?", &[1]);
    }

    #[test]
    #[should_panic(expected = "one")]
    fn values_in_another_order_are_found_out() {
        let texts = Texts::default();
        let make = |()| made("a = ? AND b = ?", [1, 2]);
        let values = |()| vec![2_i64.into(), 1_i64.into()];
        texts.statement(SQLITE, Shape::named("one"), (), make, values);
    }

    #[test]
    fn what_is_long_or_too_many_is_not_kept() {
        let texts = Texts::default();
        let long = Shape::named("long").with_count(COUNT_MAX + 1);
        assert_eq!(ask(&texts, long, "?", &[1]), made("?", [1]));
        for columns in 0..=TEXTS_MAX as u64 {
            ask(&texts, Shape::named("many").with_columns(columns), "?", &[1]);
        }
        let kept = texts.0.read().unwrap();
        assert_eq!((kept.len(), kept.contains_key(&long)), (TEXTS_MAX, false));
    }
}
