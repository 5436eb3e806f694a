//! A unit of work in two trips to the database: what decides, then what is written.
//!
//! Going to a database and back costs more than a statement does. So statements travel together: [`Store::open`] begins
//! the transaction and reads, [`Unit::commit`] writes and commits. A unit that nothing is read for is one trip,
//! [`Store::write_whole`]. SQLite runs what is quick on the spot; PostgreSQL takes the same statements one by one.
//!
//! A unit that is dropped before it is committed, or that fails, leaves nothing behind.

mod batch;
mod checkpoints;
mod postgres_writer;
mod row;
mod sqlite_unit;
mod sqlite_writer;
mod stepwise;
mod texts;

use crate::{Store, credentials::Credentials, error::failure};
use domain::ports::StoreResult;
use sea_orm::{DbBackend, QueryTrait, sqlx};
use sqlite_unit::SqliteUnit;
use stepwise::Stepwise;

pub(crate) use batch::{Answers, Batch, Rows, columns, given};
pub(crate) use postgres_writer::PostgresWriter;
pub(crate) use row::{FromRow, Row, row};
pub(crate) use sqlite_writer::{SqliteWriter, SqliteWriterOptions};
pub(crate) use texts::{Shape, Texts};

/// Where units of work are written.
#[derive(Debug, Clone)]
pub(crate) enum Writer {
    Sqlite(SqliteWriter),
    Postgres(PostgresWriter),
}

/// A transaction that has begun and may write.
#[derive(Debug)]
pub(crate) struct Unit(Open);

/// How statements get to the database.
#[derive(Debug)]
enum Open {
    Sqlite(SqliteUnit),
    /// PostgreSQL takes them one by one.
    Stepwise(Stepwise),
}

impl Store {
    /// Statements to be run together.
    pub(crate) fn batch(&self) -> Batch {
        let backend = match self.writer {
            Writer::Sqlite(_) => DbBackend::Sqlite,
            Writer::Postgres(_) => DbBackend::Postgres,
        };
        Batch::new(backend, self.texts.clone())
    }

    /// Statements to be run together that are few, and each find their rows by a key: nobody notices how long they take.
    pub(crate) fn quick_batch(&self) -> Batch {
        Batch { is_quick: true, ..self.batch() }
    }

    /// Begins a unit of work as the writer, and reads what it depends on, locks first.
    ///
    /// On SQLite the unit is the only writer: one that reads first and then wants to write would be refused, without
    /// waiting, if another process wrote in between. On PostgreSQL it is the only one that has these rows, and whoever
    /// meets it there waits: what was read under the locks is still so when the unit commits.
    pub(crate) async fn open(&self, reads: Batch) -> StoreResult<(Answers, Unit)> {
        match &self.writer {
            Writer::Sqlite(writer) => {
                let (read, open) = SqliteUnit::take(writer).await?.begin(reads).await?;
                Ok((read, Unit(Open::Sqlite(open))))
            }
            Writer::Postgres(writer) => {
                let (read, open) = Stepwise::begin(writer, &reads).await.map_err(failure)?;
                Ok((read, Unit(Open::Stepwise(open))))
            }
        }
    }

    /// A unit of work for which nothing needs to be read.
    pub(crate) async fn write_whole(&self, writes: Batch) -> StoreResult<Answers> {
        match &self.writer {
            Writer::Sqlite(writer) => SqliteUnit::take(writer).await?.whole(writes).await,
            Writer::Postgres(writer) => stepwise::whole(writer, &writes).await.map_err(failure),
        }
    }

    /// As [`Store::write_whole`], where nobody else's work is in the way.
    pub(crate) async fn write_lease(&self, writes: Batch) -> StoreResult<Answers> {
        match &self.writer {
            Writer::Sqlite(writer) => SqliteUnit::take_ahead(writer).await?.whole(writes).await,
            Writer::Postgres(writer) => stepwise::whole(&writer.for_leases(), &writes).await.map_err(failure),
        }
    }

    /// One statement by itself; answers how many rows it changed.
    pub(crate) async fn write_one(&self, statement: impl QueryTrait) -> StoreResult<u64> {
        let mut writes = self.batch();
        writes.run(statement);
        Ok(self.write_whole(writes).await?.affected())
    }
}

impl Writer {
    /// The credentials that are remembered, where nobody else can end one.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Sqlite(writer) => Some(writer.credentials()),
            Self::Postgres(_) => None,
        }
    }

    /// Waits for whoever writes and closes what is open, for good.
    pub(crate) async fn close(&self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(writer) => writer.close().await,
            Self::Postgres(writer) => {
                writer.close().await;
                Ok(())
            }
        }
    }
}

impl Unit {
    /// Writes and commits.
    pub(crate) async fn commit(self, writes: Batch) -> StoreResult<Answers> {
        match self.0 {
            Open::Sqlite(open) => open.commit(writes).await,
            Open::Stepwise(open) => open.commit(&writes).await.map_err(failure),
        }
    }
}

#[cfg(test)]
mod tests;
