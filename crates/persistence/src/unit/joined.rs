//! A batch as SQLite takes it: several statements in one command to the connection's thread.

use super::{Answers, Batch};
use crate::error::failure;
use domain::ports::{StoreError, StoreResult};
use futures::TryStreamExt;
use sea_orm::{
    DbErr, RuntimeErr, Statement, Values,
    sqlx::{
        self, AssertSqlSafe, Either, Executor, Sqlite, SqlitePool, pool::PoolConnection,
        sqlite::SqlitePoolOptions,
    },
};
use sea_query_sqlx::SqlxValues;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
/// Ends a transaction if there is one, and is no error if there is none: `ROLLBACK` alone would be.
const ROLL_BACK: &str = "SAVEPOINT abandoned; ROLLBACK";

/// Longer ones are seldom met again, and the text would be kept beside the compiled statement.
const KEPT_SQL_BYTES_MAX: usize = 16 * 1024;

/// Whether the writing connection may have been left in the middle of a transaction.
///
/// There is one such connection, so one flag says it; the pool looks at it whenever the connection comes back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    /// Lets the pool roll back what was left in the middle, before anybody else gets the connection. One that cannot
    /// be rolled back is closed, which is the same to SQLite.
    pub(crate) fn watch(&self, pool: SqlitePoolOptions) -> SqlitePoolOptions {
        let flag = self.0.clone();
        pool.after_release(move |connection, _| {
            let is_abandoned = flag.swap(false, Ordering::AcqRel);
            Box::pin(async move {
                if is_abandoned {
                    connection.execute(ROLL_BACK).await?;
                }
                Ok(true)
            })
        })
    }
}

/// The writing connection, from before its transaction begins.
#[derive(Debug)]
pub(super) struct Joined {
    connection: PoolConnection<Sqlite>,
    abandoned: Abandoned,
}

impl Joined {
    pub(super) async fn acquire(pool: &SqlitePool, abandoned: &Abandoned) -> StoreResult<Self> {
        let connection = pool.acquire().await.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        Ok(Self { connection, abandoned: abandoned.clone() })
    }

    pub(super) async fn begin(&mut self, reads: Batch) -> StoreResult<Answers> {
        self.run(Some(BEGIN), reads, None).await.map_err(failure)
    }

    pub(super) async fn commit(mut self, writes: Batch) -> Result<Answers, DbErr> {
        let answers = self.run(None, writes, Some(COMMIT)).await?;
        self.abandoned.0.store(false, Ordering::Release);
        Ok(answers)
    }

    pub(super) async fn whole(mut self, writes: Batch) -> Result<Answers, DbErr> {
        let answers = self.run(Some(BEGIN), writes, Some(COMMIT)).await?;
        self.abandoned.0.store(false, Ordering::Release);
        Ok(answers)
    }

    /// One trip. The connection counts as abandoned from here on, until a COMMIT has come back.
    async fn run(
        &mut self,
        before: Option<&'static str>,
        batch: Batch,
        after: Option<&'static str>,
    ) -> Result<Answers, DbErr> {
        self.abandoned.0.store(true, Ordering::Release);
        let first = usize::from(before.is_some());
        let count = batch.statements.len();
        let (sql, values) = join(before, batch, after);
        let is_kept = sql.len() <= KEPT_SQL_BYTES_MAX;
        let query = sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values)).persistent(is_kept);
        let mut steps = (&mut *self.connection).fetch_many(query);
        let mut answers = vec![Vec::new()];
        while let Some(step) = steps.try_next().await.map_err(of_sqlx)? {
            match (step, answers.last_mut()) {
                (Either::Right(row), Some(rows)) => rows.push(row.into()),
                // The end of a statement.
                _ => answers.push(Vec::new()),
            }
        }
        Ok(Answers(answers.into_iter().skip(first).take(count).collect()))
    }
}

fn join(before: Option<&str>, batch: Batch, after: Option<&str>) -> (String, Values) {
    let mut sql = Vec::with_capacity(batch.statements.len() + 2);
    let mut values = Vec::new();
    sql.extend(before.map(str::to_owned));
    for Statement { sql: one, values: its, .. } in
        batch.statements.into_iter().map(|planned| planned.statement)
    {
        sql.push(one);
        values.extend(its.map(|values| values.0).unwrap_or_default());
    }
    sql.extend(after.map(str::to_owned));
    (sql.join("; "), Values(values))
}

fn of_sqlx(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
