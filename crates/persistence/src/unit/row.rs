//! Rows as either database answers them, and what they are read as.

use rusqlite::types::Value as Sql;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ColumnType, DbErr, EntityTrait, FromQueryResult, IdenStatic, Iterable,
    JsonValue, ModelTrait, QueryResult, TryGetable, TryIntoModel, Value, prelude::Uuid,
};
use std::{error::Error, sync::Arc};

/// A row.
#[derive(Debug)]
pub(crate) enum Row {
    /// As sea-orm read it: from PostgreSQL, or by one that reads only.
    Orm(QueryResult),
    Sqlite(SqliteRow),
}

/// What SQLite answered: values without types, which those who read them know.
#[derive(Debug)]
pub(crate) struct SqliteRow {
    pub(super) columns: Arc<[String]>,
    pub(super) values: Vec<Sql>,
}

/// What a row can be read as: a table's, or what [`row!`] declares.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, DbErr>;
}

/// What a column can be read as.
pub(crate) trait Field: TryGetable {
    /// `None` if it is something else.
    fn from_sqlite(value: &Sql) -> Option<Self>;
}

/// Declares what the rows of a statement are read as, each field from the column of its name.
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$its:meta])* $field:ident: $of:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug)]
        $vis struct $name { $($(#[$its])* $field: $of),* }

        impl $crate::unit::FromRow for $name {
            fn from_row(row: &$crate::unit::Row) -> Result<Self, sea_orm::DbErr> {
                Ok(Self { $($field: row.get(stringify!($field))?),* })
            }
        }
    };
}
pub(crate) use row;

impl Row {
    /// The column of this name.
    pub(crate) fn get<T: Field>(&self, column: &str) -> Result<T, DbErr> {
        match self {
            Self::Orm(row) => row.try_get("", column),
            Self::Sqlite(row) => {
                let value = row.value(column)?;
                T::from_sqlite(value).ok_or_else(|| DbErr::Type(format!("{column} is {value:?}")))
            }
        }
    }
}

impl SqliteRow {
    fn value(&self, column: &str) -> Result<&Sql, DbErr> {
        let at = self.columns.iter().position(|name| name == column);
        at.and_then(|at| self.values.get(at)).ok_or_else(|| DbErr::Type(format!("there is no {column}")))
    }
}

impl<M> FromRow for M
where
    M: ModelTrait + FromQueryResult,
    <M::Entity as EntityTrait>::ActiveModel: TryIntoModel<M>,
{
    fn from_row(row: &Row) -> Result<Self, DbErr> {
        match row {
            Row::Orm(row) => M::from_query_result(row, ""),
            Row::Sqlite(row) => {
                let mut model = <<M::Entity as EntityTrait>::ActiveModel as ActiveModelTrait>::default();
                for column in <M::Entity as EntityTrait>::Column::iter() {
                    let (name, value) = (column.as_str(), row.value(column.as_str())?);
                    let typed = typed(column.def().get_column_type(), value);
                    let typed = typed.ok_or_else(|| DbErr::Type(format!("{name} is {value:?}")))?;
                    model.try_set(column, typed)?;
                }
                model.try_into_model()
            }
        }
    }
}

/// The value as the entity has it.
fn typed(column: &ColumnType, value: &Sql) -> Option<Value> {
    Some(match column {
        ColumnType::BigInteger => Value::BigInt(Field::from_sqlite(value)?),
        ColumnType::Boolean => Value::Bool(Field::from_sqlite(value)?),
        ColumnType::String(_) | ColumnType::Text => Value::String(Field::from_sqlite(value)?),
        ColumnType::Uuid => Value::Uuid(Field::from_sqlite(value)?),
        ColumnType::Json | ColumnType::JsonBinary => {
            Value::Json(Option::<JsonValue>::from_sqlite(value)?.map(Box::new))
        }
        ColumnType::Blob | ColumnType::Binary(_) | ColumnType::VarBinary(_) => {
            Value::Bytes(Field::from_sqlite(value)?)
        }
        _ => return None,
    })
}

impl<T: Field> Field for Option<T> {
    fn from_sqlite(value: &Sql) -> Option<Self> {
        match value {
            Sql::Null => Some(None),
            value => T::from_sqlite(value).map(Some),
        }
    }
}

impl Field for i64 {
    fn from_sqlite(value: &Sql) -> Option<Self> {
        if let Sql::Integer(number) = value { Some(*number) } else { None }
    }
}

impl Field for bool {
    fn from_sqlite(value: &Sql) -> Option<Self> {
        if let Sql::Integer(number) = value { Some(*number != 0) } else { None }
    }
}

impl Field for String {
    fn from_sqlite(value: &Sql) -> Option<Self> {
        if let Sql::Text(text) = value { Some(text.clone()) } else { None }
    }
}

impl Field for Vec<u8> {
    fn from_sqlite(value: &Sql) -> Option<Self> {
        if let Sql::Blob(bytes) = value { Some(bytes.clone()) } else { None }
    }
}

impl Field for Uuid {
    fn from_sqlite(value: &Sql) -> Option<Self> {
        if let Sql::Blob(bytes) = value { Self::from_slice(bytes).ok() } else { None }
    }
}

impl Field for JsonValue {
    fn from_sqlite(value: &Sql) -> Option<Self> {
        if let Sql::Text(text) = value { serde_json::from_str(text).ok() } else { None }
    }
}

/// The value as SQLite is given it.
pub(super) fn bound(value: &Value) -> Result<Sql, Box<dyn Error + Send + Sync>> {
    fn sql<T>(value: Option<T>, to: impl FnOnce(T) -> Sql) -> Sql {
        value.map_or(Sql::Null, to)
    }
    Ok(match value {
        Value::Bool(value) => sql(*value, |value| Sql::Integer(value.into())),
        Value::Int(value) => sql(*value, |value| Sql::Integer(value.into())),
        Value::BigInt(value) => sql(*value, Sql::Integer),
        Value::BigUnsigned(value) => sql(value.map(i64::try_from).transpose()?, Sql::Integer),
        Value::String(value) => sql(value.as_deref(), |value| Sql::Text(value.to_owned())),
        Value::Bytes(value) => sql(value.as_deref(), |value| Sql::Blob(value.to_owned())),
        Value::Uuid(value) => sql(*value, |value| Sql::Blob(value.as_bytes().to_vec())),
        Value::Json(value) => sql(value.as_deref(), |value| Sql::Text(value.to_string())),
        other => return Err(format!("no column takes {other:?}").into()),
    })
}

#[cfg(test)]
mod tests;
