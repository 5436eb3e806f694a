//! A batch as SQLite takes it: several statements in one command to the connection's thread.
//!
//! Whoever goes away in the middle is rolled back twice: at once, without waiting, so that the file's lock is free; and
//! on the next one's first trip, because nobody has seen that the first went well.

use super::{
    Answers, Batch,
    batch::Answer,
    sqlite_writer::{Place, SqliteWriter},
};
use crate::{credentials::Changing, error::failure};
use domain::ports::StoreResult;
use futures::{FutureExt, TryStreamExt};
use sea_orm::{
    DbErr, RuntimeErr, Values,
    sqlx::{self, AssertSqlSafe, Either, Executor},
};
use sea_query_sqlx::SqlxValues;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

/// Ends a transaction if there is one, and is no error if there is none: `ROLLBACK` alone would be.
const CLEAR: [&str; 2] = ["SAVEPOINT abandoned", "ROLLBACK"];
const BEGIN: [&str; 1] = ["BEGIN IMMEDIATE"];
const COMMIT: [&str; 1] = ["COMMIT"];
const ROLL_BACK: &str = "ROLLBACK";

/// Longer ones are seldom met again, and the text would be kept beside the compiled statement.
const KEPT_SQL_BYTES_MAX: usize = 16 * 1024;

/// The place of the writer.
#[derive(Debug)]
pub(super) struct Joined(OwnedMutexGuard<Place>);

impl Joined {
    pub(super) async fn take(writer: &SqliteWriter) -> StoreResult<Self> {
        writer.take().await.map(Self)
    }

    /// Begins a transaction; what follows on this place is inside it.
    pub(super) async fn begin(&mut self, reads: Batch) -> StoreResult<Answers> {
        let before = self.cleared().chain(BEGIN).collect();
        self.run(before, reads, &[]).await.map_err(failure)
    }

    /// Ends the transaction that was begun.
    pub(super) async fn commit(mut self, writes: Batch) -> Result<Answers, DbErr> {
        let changing = self.changing(&writes);
        let answers = self.run(Vec::new(), writes, &COMMIT).await?;
        self.committed(changing);
        Ok(answers)
    }

    /// A transaction from its beginning to its end.
    pub(super) async fn whole(mut self, writes: Batch) -> Result<Answers, DbErr> {
        // One statement is a transaction by itself.
        let is_one = writes.statements.len() == 1;
        let (begin, commit): (&[_], &[_]) = if is_one { (&[], &[]) } else { (&BEGIN, &COMMIT) };
        let before = self.cleared().chain(begin.iter().copied()).collect();
        let changing = self.changing(&writes);
        let answers = self.run(before, writes, commit).await?;
        self.committed(changing);
        Ok(answers)
    }

    /// What is to be done before accounts change.
    fn changing(&self, writes: &Batch) -> Option<Changing> {
        writes.changes_accounts().then(|| self.0.credentials.changing())
    }

    fn committed(&mut self, changing: Option<Changing>) {
        self.0.committed();
        if let Some(changing) = changing {
            changing.done();
        }
    }

    /// What makes the place clean.
    fn cleared(&self) -> impl Iterator<Item = &'static str> + use<> {
        let is_abandoned = self.0.is_abandoned;
        CLEAR.into_iter().filter(move |_| is_abandoned)
    }

    /// One trip. The place counts as abandoned from here on, until its transaction has ended.
    async fn run(&mut self, before: Vec<&str>, batch: Batch, after: &[&str]) -> Result<Answers, DbErr> {
        self.0.is_abandoned = true;
        let (first, count) = (before.len(), batch.statements.len());
        let (sql, values) = join(before, batch, after);
        let is_kept = sql.len() <= KEPT_SQL_BYTES_MAX;
        let query = sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values)).persistent(is_kept);
        let answered = async {
            let mut steps = self.0.connection()?.fetch_many(query);
            let (mut answers, mut rows) = (Vec::new(), Vec::new());
            while let Some(step) = steps.try_next().await? {
                match step {
                    Either::Right(row) => rows.push(row.into()),
                    Either::Left(end) => {
                        answers
                            .push(Answer { rows: std::mem::take(&mut rows), affected: end.rows_affected() });
                    }
                }
            }
            Ok(answers)
        };
        match answered.await {
            Ok(answers) => Ok(Answers(answers.into_iter().skip(first).take(count).collect())),
            Err(error) => {
                self.0.give_up_if_broken(&error);
                Err(DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))
            }
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if self.0.is_abandoned
            && let Ok(connection) = self.0.connection()
        {
            // Asking it once hands the command to the thread. If there is no transaction, that is refused to nobody.
            let _ = connection.execute(ROLL_BACK).now_or_never();
        }
    }
}

fn join(before: Vec<&str>, batch: Batch, after: &[&str]) -> (String, Values) {
    let mut sql: Vec<String> = before.into_iter().map(str::to_owned).collect();
    let mut values = Vec::new();
    for statement in batch.statements.into_iter().map(|planned| planned.statement) {
        sql.push(statement.sql);
        values.extend(statement.values.map(|values| values.0).unwrap_or_default());
    }
    sql.extend(after.iter().map(|&statement| statement.to_owned()));
    (sql.join("; "), Values(values))
}
