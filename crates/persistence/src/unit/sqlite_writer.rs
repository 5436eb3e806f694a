//! The one connection that writes to SQLite, and the queue for it.
//!
//! SQLite has one writer at a time in any case. One connection that everybody queues for makes that a fair queue in
//! memory; several would meet at the file's lock, where waiting means sleeping and trying again. Only the lease of the
//! server does not queue: it waits for the one who writes, and for nobody behind.

use super::checkpoints::Checkpoints;
use crate::{
    credentials::Credentials,
    error::sqlite_failure,
    figures::{Kind, PoolFigures, count},
};
use domain::ports::{StoreError, StoreResult};
use rusqlite::{Connection, OpenFlags, ffi};
use sea_orm::sqlx::{self, SqlitePool};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::spawn_blocking,
    time::timeout,
};

/// Compiled statements that are kept; the one that was used longest ago goes first.
const STATEMENTS_KEPT: usize = 256;

/// How the file is written to.
#[derive(Debug)]
pub(crate) struct SqliteWriterOptions {
    pub(crate) file: PathBuf,
    /// By name, with the value as SQL has it.
    pub(crate) pragmas: Vec<(&'static str, String)>,
    /// How long a unit waits for another process.
    pub(crate) busy_timeout: Duration,
    /// How long a call waits for its place before the store counts as unavailable.
    pub(crate) patience: Duration,
}

/// The writer; clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct SqliteWriter {
    options: Arc<SqliteWriterOptions>,
    /// Whoever is first in it waits for the place.
    queue: Arc<Mutex<()>>,
    place: Arc<Mutex<Place>>,
    credentials: Credentials,
}

/// The place, taken. It is free again before the next one in the queue is called.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) place: OwnedMutexGuard<Place>,
    /// None for who did not queue.
    _turn: Option<OwnedMutexGuard<()>>,
}

/// Where whoever writes sits.
#[derive(Debug, Default)]
pub(super) struct Place {
    connection: Option<Connection>,
    is_closed: bool,
    /// None where nothing is written.
    checkpoints: Option<Checkpoints>,
    /// What is remembered of what is written here.
    pub(super) credentials: Credentials,
}

impl SqliteWriter {
    /// One whose log is folded into the file by one of these readers, if there are any.
    pub(crate) fn new(options: SqliteWriterOptions, readers: Option<SqlitePool>) -> Self {
        let place = Place { checkpoints: readers.map(Checkpoints::new), ..Place::default() };
        let credentials = place.credentials.clone();
        let (options, queue) = (Arc::new(options), Arc::default());
        Self { options, queue, place: Arc::new(Mutex::new(place)), credentials }
    }

    /// The credentials that are remembered while this is the only one that writes.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(super) fn busy_timeout(&self) -> Duration {
        self.options.busy_timeout
    }

    /// The place, when it is free and nobody waits who came before.
    pub(super) async fn take(&self) -> StoreResult<Seat> {
        let taking = async {
            let turn = self.queue.clone().lock_owned().await;
            Seat { place: self.place.clone().lock_owned().await, _turn: Some(turn) }
        };
        self.seated(taking).await
    }

    /// The place, as soon as it is free.
    pub(super) async fn take_ahead(&self) -> StoreResult<Seat> {
        let taking = async { Seat { place: self.place.clone().lock_owned().await, _turn: None } };
        self.seated(taking).await
    }

    async fn seated(&self, taking: impl Future<Output = Seat>) -> StoreResult<Seat> {
        let taken = timeout(self.options.patience, taking).await;
        let mut seat = taken.map_err(|_| unavailable(sqlx::Error::PoolTimedOut))?;
        let place = &mut *seat.place;
        if place.is_closed {
            return Err(unavailable(sqlx::Error::PoolClosed));
        }
        if place.connection.is_none() {
            let options = self.options.clone();
            let opened = spawn_blocking(move || options.open()).await.map_err(unavailable)?;
            place.connection = Some(opened.map_err(sqlite_failure)?);
        }
        Ok(seat)
    }

    /// The one connection: used while somebody writes.
    pub(crate) fn figures(&self) -> PoolFigures {
        let (used, idle) = match self.place.try_lock() {
            Err(_) => (1, 0),
            Ok(place) => (0, u32::from(place.connection.is_some())),
        };
        PoolFigures { pool: "write", used, idle, max: 1 }
    }

    /// Waits for whoever writes or wants to, and closes the connection for good.
    pub(super) async fn close(&self) -> Result<(), sqlx::Error> {
        let _turn = self.queue.lock().await;
        let mut place = self.place.lock().await;
        place.is_closed = true;
        if let Some(checkpoints) = place.checkpoints.take() {
            checkpoints.end().await;
        }
        let Some(connection) = place.connection.take() else { return Ok(()) };
        // The last connection folds the log into the file.
        let closed = spawn_blocking(move || connection.close().map_err(|(_, error)| error)).await;
        closed.map_err(io)?.map_err(io)
    }
}

impl SqliteWriterOptions {
    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(self.busy_timeout)?;
        for (name, value) in &self.pragmas {
            connection.pragma_update(None, name, value)?;
        }
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(connection)
    }
}

impl Place {
    pub(super) fn connection(&mut self) -> rusqlite::Result<&mut Connection> {
        let gone = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), None);
        self.connection.as_mut().ok_or_else(gone)
    }

    /// The one who sits here has come to an end of it.
    pub(super) fn committed(&mut self) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.committed();
        }
    }

    /// Gives up a connection that cannot be used any more; the next one here opens another. What was not committed goes
    /// with it.
    pub(super) fn give_up(&mut self) {
        self.connection = None;
    }
}

fn io(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(error))
}

/// For want of something that is there at other times.
pub(super) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    count(Kind::Unavailable);
    StoreError::Unavailable(Box::new(error))
}
