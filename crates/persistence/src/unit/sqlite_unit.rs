//! A unit of work on SQLite.
//!
//! Statements that are quick run where they are called: SQLite answers them from memory in less time than another thread
//! takes to be woken (docs/decisions/0048-sqlite-is-called-on-the-spot.md). Everything else, and whoever finds the file
//! taken by another process, has a thread that may wait.

use super::{
    Answers, Batch, Row,
    batch::{Answer, Planned},
    row::{SqliteRow, bound},
    sqlite_writer::{Seat, SqliteWriter, unavailable},
};
use crate::error::sqlite_failure;
use domain::ports::{StoreError, StoreResult};
use rusqlite::{Connection, ErrorCode, types::Value as Sql};
use std::{error::Error, sync::Arc, time::Duration};
use tokio::task::spawn_blocking;

/// What has more to write is not quick, however few its statements are.
const QUICK_BYTES_MAX: usize = 128 * 1024;
/// Longer ones are seldom met again, and the text would be kept beside the compiled statement.
const KEPT_SQL_BYTES_MAX: usize = 16 * 1024;

/// The place of the writer. What was not committed when this is dropped is rolled back.
#[derive(Debug)]
pub(super) struct SqliteUnit {
    seat: Seat,
    /// How long it waits for another process.
    patience: Duration,
    is_quick: bool,
}

/// A statement with its values.
#[derive(Debug)]
struct Bound {
    sql: String,
    values: Vec<Sql>,
    has_rows: bool,
}

/// Which ends of the transaction a trip has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trip {
    Begins,
    Commits,
    Whole,
}

impl SqliteUnit {
    /// When the place is free and nobody waits who came before.
    pub(super) async fn take(writer: &SqliteWriter) -> StoreResult<Self> {
        Ok(Self { seat: writer.take().await?, patience: writer.busy_timeout(), is_quick: false })
    }

    /// As soon as the place is free.
    pub(super) async fn take_ahead(writer: &SqliteWriter) -> StoreResult<Self> {
        Ok(Self { seat: writer.take_ahead().await?, patience: writer.busy_timeout(), is_quick: false })
    }

    /// Begins a transaction; what follows is inside it, and as quick.
    pub(super) async fn begin(mut self, reads: Batch) -> StoreResult<(Answers, Self)> {
        self.is_quick = reads.is_quick;
        self.run(reads, Trip::Begins).await
    }

    /// Ends the transaction that was begun.
    pub(super) async fn commit(self, writes: Batch) -> StoreResult<Answers> {
        self.end(writes, Trip::Commits).await
    }

    /// A transaction from its beginning to its end.
    pub(super) async fn whole(mut self, writes: Batch) -> StoreResult<Answers> {
        self.is_quick = writes.is_quick;
        self.end(writes, Trip::Whole).await
    }

    async fn end(self, writes: Batch, trip: Trip) -> StoreResult<Answers> {
        let changing = writes.changes_accounts().then(|| self.seat.place.credentials.changing());
        let (answers, mut unit) = self.run(writes, trip).await?;
        unit.seat.place.committed();
        if let Some(changing) = changing {
            changing.done();
        }
        Ok(answers)
    }

    async fn run(mut self, batch: Batch, trip: Trip) -> StoreResult<(Answers, Self)> {
        let (batch, bytes) = bind(batch).map_err(StoreError::Failed)?;
        if self.is_quick && bytes <= QUICK_BYTES_MAX {
            match self.make(&batch, trip, Duration::ZERO) {
                Err(error) if trip != Trip::Commits && is_busy(&error) => {}
                made => return Ok((made.map_err(sqlite_failure)?, self)),
            }
        }
        let patience = self.patience;
        let made = spawn_blocking(move || {
            let made = self.make(&batch, trip, patience);
            (made, self)
        });
        let (made, unit) = made.await.map_err(unavailable)?;
        Ok((made.map_err(sqlite_failure)?, unit))
    }

    fn make(&mut self, batch: &[Bound], trip: Trip, patience: Duration) -> rusqlite::Result<Answers> {
        let connection = self.seat.place.connection()?;
        connection.busy_timeout(patience)?;
        if trip != Trip::Commits {
            command(connection, "BEGIN IMMEDIATE")?;
        }
        let answers = batch.iter().map(|bound| answer(connection, bound));
        let answers = answers.collect::<rusqlite::Result<_>>()?;
        if trip != Trip::Begins {
            command(connection, "COMMIT")?;
        }
        Ok(Answers(answers))
    }
}

impl Drop for SqliteUnit {
    fn drop(&mut self) {
        let Ok(connection) = self.seat.place.connection() else { return };
        if !connection.is_autocommit()
            && let Err(error) = command(connection, "ROLLBACK")
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "a unit of work was not rolled back");
            self.seat.place.give_up();
        }
    }
}

fn command(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(drop)
}

/// The statements with their values, and how many bytes these have.
fn bind(batch: Batch) -> Result<(Vec<Bound>, usize), Box<dyn Error + Send + Sync>> {
    let mut bytes = 0;
    let bind = |Planned { statement, has_rows }: Planned| {
        let values = statement.values.iter().flat_map(|values| &values.0).map(bound);
        let values: Vec<_> = values.collect::<Result<_, _>>()?;
        bytes += values.iter().map(size).sum::<usize>();
        Ok(Bound { sql: statement.sql, values, has_rows })
    };
    let bound =
        batch.statements.into_iter().map(bind).collect::<Result<_, Box<dyn Error + Send + Sync>>>()?;
    Ok((bound, bytes))
}

fn size(value: &Sql) -> usize {
    match value {
        Sql::Text(text) => text.len(),
        Sql::Blob(bytes) => bytes.len(),
        Sql::Null | Sql::Integer(_) | Sql::Real(_) => 0,
    }
}

fn answer(connection: &Connection, bound: &Bound) -> rusqlite::Result<Answer> {
    let Bound { sql, values, has_rows } = bound;
    let mut prepared = connection.prepare_cached(sql)?;
    for (at, value) in values.iter().enumerate() {
        prepared.raw_bind_parameter(at + 1, value)?;
    }
    let columns: Arc<[String]> = prepared.column_names().into_iter().map(str::to_owned).collect();
    let answer = if columns.is_empty() {
        Answer { rows: Vec::new(), affected: prepared.raw_execute()? as u64 }
    } else {
        let mut answered = prepared.raw_query();
        let mut rows = Vec::new();
        while let Some(row) = answered.next()? {
            if *has_rows {
                let values = (0..columns.len()).map(|at| row.get::<_, Sql>(at));
                let values = values.collect::<rusqlite::Result<_>>()?;
                rows.push(Row::Sqlite(SqliteRow { columns: columns.clone(), values }));
            }
        }
        Answer { rows, affected: 0 }
    };
    if sql.len() > KEPT_SQL_BYTES_MAX {
        prepared.discard();
    }
    Ok(answer)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
