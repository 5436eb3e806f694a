//! A unit of work in two trips to the database: what decides, then what is written.
//!
//! SQLite is called on a thread of its own, and going there and back costs more than a statement does. So statements
//! travel together: [`Store::open`] begins the transaction and reads, [`Unit::commit`] writes and commits. A unit that
//! nothing is read for is one trip, [`Store::write_whole`].
//!
//! A unit that is dropped before it is committed, or that fails, leaves nothing behind.

mod batch;
mod joined;
mod stepwise;
mod writer;

use crate::{Store, error::failure};
use domain::ports::{StoreError, StoreResult};
use joined::Joined;
use sea_orm::{DatabaseTransaction, DbBackend, DbErr, QueryTrait};

pub(crate) use batch::{Answers, Batch, Rows};
pub(crate) use writer::Writer;

/// A transaction that has begun and is the writer.
#[derive(Debug)]
pub(crate) struct Unit(Open);

/// How statements get to the database.
#[derive(Debug)]
enum Open {
    /// SQLite takes several at a time.
    Joined(Joined),
    /// Every other database takes them one by one.
    Stepwise(DatabaseTransaction),
}

impl Store {
    /// Statements to be run together.
    pub(crate) fn batch(&self) -> Batch {
        Batch::new(self.write.get_database_backend())
    }

    /// Begins a unit of work as the writer, and reads what it depends on.
    ///
    /// One that reads first and then wants to write would be refused by SQLite, without waiting, if another process
    /// wrote in between.
    pub(crate) async fn open(&self, reads: Batch) -> StoreResult<(Answers, Unit)> {
        match self.write.get_database_backend() {
            DbBackend::Sqlite => self.open_joined(reads).await,
            _ => self.open_stepwise(reads).await,
        }
    }

    async fn open_joined(&self, reads: Batch) -> StoreResult<(Answers, Unit)> {
        let mut open = Joined::take(&self.writer).await?;
        Ok((open.begin(reads).await?, Unit(Open::Joined(open))))
    }

    async fn open_stepwise(&self, reads: Batch) -> StoreResult<(Answers, Unit)> {
        let open = self.begin_writing().await?;
        Ok((stepwise::run(&open, reads).await.map_err(failure)?, Unit(Open::Stepwise(open))))
    }

    /// A unit of work for which nothing needs to be read.
    pub(crate) async fn write_whole(&self, writes: Batch) -> StoreResult<Answers> {
        self.try_whole(writes).await.map_err(NotWritten::into_store_error)
    }

    /// One statement by itself; answers how many rows it changed.
    pub(crate) async fn write_one(&self, statement: impl QueryTrait) -> StoreResult<u64> {
        let mut writes = self.batch();
        writes.run(statement);
        Ok(self.write_whole(writes).await?.affected())
    }

    /// A whole unit, for callers who want to know what the database said.
    pub(crate) async fn try_whole(&self, writes: Batch) -> Result<Answers, NotWritten> {
        match self.write.get_database_backend() {
            DbBackend::Sqlite => {
                let open = Joined::take(&self.writer).await.map_err(NotWritten::Store)?;
                open.whole(writes).await.map_err(NotWritten::Database)
            }
            _ => {
                let open = self.begin_writing().await.map_err(NotWritten::Store)?;
                stepwise::commit(open, writes).await.map_err(NotWritten::Database)
            }
        }
    }
}

impl Unit {
    /// Writes and commits.
    pub(crate) async fn commit(self, writes: Batch) -> StoreResult<Answers> {
        match self.0 {
            Open::Joined(open) => open.commit(writes).await,
            Open::Stepwise(open) => stepwise::commit(open, writes).await,
        }
        .map_err(failure)
    }
}

/// Why a unit was not written.
#[derive(Debug)]
pub(crate) enum NotWritten {
    Store(StoreError),
    Database(DbErr),
}

impl NotWritten {
    pub(crate) fn into_store_error(self) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Database(error) => failure(error),
        }
    }
}

#[cfg(test)]
mod tests;
