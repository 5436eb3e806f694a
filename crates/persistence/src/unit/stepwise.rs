//! A batch as PostgreSQL takes it: one statement at a time, between BEGIN and COMMIT.
//!
//! Row locks are taken in one order everywhere (hold, turn, session, accounts by their keys, end of the audit log), so
//! units wait for each other and do not deadlock. Where the database sees a deadlock or a conflict all the same it has rolled back, and what has not
//! been decided yet is simply done again: a whole unit, and the reads of one. What was decided by what a unit read is
//! not: its caller is told to come again.

use super::{Answers, Batch, PostgresWriter, Row, batch::Answer};
use crate::wakeups::Exchange;
use sea_orm::{
    DbErr, RuntimeErr, Value,
    sqlx::{
        self, AssertSqlSafe, Encode, PgConnection, Postgres, Transaction, Type,
        encode::IsNull,
        error::BoxDynError,
        postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, types::Oid},
    },
};
use std::sync::Arc;

/// How often a unit is done again that the database rolled back for another's sake.
const ATTEMPTS_MAX: u32 = 4;
/// `serialization_failure` and `deadlock_detected`.
const ROLLED_BACK: [&str; 2] = ["40001", "40P01"];

/// Longer ones are seldom met again, and the text would be kept beside the prepared statement.
const KEPT_SQL_BYTES_MAX: usize = 16 * 1024;
/// The type `json`, whose number is the same in every PostgreSQL.
const JSON: Oid = Oid(114);

/// A transaction.
#[derive(Debug)]
pub(super) struct Stepwise {
    transaction: Transaction<'static, Postgres>,
    exchange: Arc<Exchange>,
}

impl Stepwise {
    /// Begins a transaction and reads in it.
    pub(super) async fn begin(writer: &PostgresWriter, reads: &Batch) -> Result<(Answers, Self), DbErr> {
        let mut attempt = 1;
        loop {
            match Self::try_begin(writer, reads).await {
                Err(error) if attempt < ATTEMPTS_MAX && is_rolled_back(&error) => attempt += 1,
                begun => return begun.map_err(db_err),
            }
        }
    }

    async fn try_begin(writer: &PostgresWriter, reads: &Batch) -> Result<(Answers, Self), sqlx::Error> {
        let mut transaction = writer.pool.begin().await?;
        let answers = run(&mut transaction, reads).await?;
        Ok((answers, Self { transaction, exchange: writer.exchange.clone() }))
    }

    /// Runs the statements and commits; the transaction rolls itself back if that does not come to its end.
    pub(super) async fn commit(mut self, writes: &Batch) -> Result<Answers, DbErr> {
        let answers = run(&mut self.transaction, writes).await.map_err(db_err)?;
        self.transaction.commit().await.map_err(db_err)?;
        self.exchange.wrote(&writes.woken);
        Ok(answers)
    }
}

/// A transaction from its beginning to its end.
pub(super) async fn whole(writer: &PostgresWriter, writes: &Batch) -> Result<Answers, DbErr> {
    let mut attempt = 1;
    loop {
        match try_whole(writer, writes).await {
            Err(error) if attempt < ATTEMPTS_MAX && is_rolled_back(&error) => attempt += 1,
            written => return written.map_err(db_err),
        }
    }
}

async fn try_whole(writer: &PostgresWriter, writes: &Batch) -> Result<Answers, sqlx::Error> {
    // One statement is a transaction by itself.
    let answers = if writes.statements.len() == 1 {
        run(&mut *writer.pool.acquire().await?, writes).await?
    } else {
        let mut transaction = writer.pool.begin().await?;
        let answers = run(&mut transaction, writes).await?;
        transaction.commit().await?;
        answers
    };
    writer.exchange.wrote(&writes.woken);
    Ok(answers)
}

async fn run(connection: &mut PgConnection, batch: &Batch) -> Result<Answers, sqlx::Error> {
    let mut answers = Vec::with_capacity(batch.statements.len());
    for planned in &batch.statements {
        let sql = planned.statement.sql.clone();
        let is_kept = sql.len() <= KEPT_SQL_BYTES_MAX;
        let values = planned.statement.values.iter().flat_map(|values| &values.0);
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments(values)?).persistent(is_kept);
        answers.push(if planned.has_rows {
            let rows = query.fetch_all(&mut *connection).await?;
            Answer { rows: rows.into_iter().map(|row| Row::Orm(row.into())).collect(), affected: 0 }
        } else {
            Answer { rows: Vec::new(), affected: query.execute(&mut *connection).await?.rows_affected() }
        });
    }
    Ok(Answers(answers))
}

/// The values as our columns take them.
fn arguments<'v>(values: impl Iterator<Item = &'v Value>) -> Result<PgArguments, sqlx::Error> {
    use sqlx::Arguments;
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Bool(value) => arguments.add(value),
            Value::Int(value) => arguments.add(value),
            Value::BigInt(value) => arguments.add(value),
            Value::BigUnsigned(value) => {
                arguments.add(value.map(i64::try_from).transpose().map_err(encoding)?)
            }
            Value::String(value) => arguments.add(value.as_deref().map(without_nul)),
            Value::Bytes(value) => arguments.add(value.as_deref()),
            Value::Uuid(value) => arguments.add(value),
            Value::Json(value) => arguments.add(value.as_deref().map(Json)),
            other => Err(format!("no column takes {other:?}").into()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// PostgreSQL's texts cannot have this one character, which a tool may well print; JSON writes it out.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A value of type `json`. sqlx's own says `jsonb`, which cannot have that character either.
struct Json<'v>(&'v serde_json::Value);

impl Type<Postgres> for Json<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSON)
    }
}

impl Encode<'_, Postgres> for Json<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        serde_json::to_writer(&mut **buffer, self.0)?;
        Ok(IsNull::No)
    }
}

fn encoding(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error))
}

fn is_rolled_back(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ROLLED_BACK.contains(&code.as_ref()))
}

fn db_err(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
