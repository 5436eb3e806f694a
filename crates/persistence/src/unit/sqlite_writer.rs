//! The one connection that writes to SQLite, and the queue for it.
//!
//! SQLite has one writer at a time in any case. One connection that everybody queues for makes that a fair queue in
//! memory; several would meet at the file's lock, where waiting means sleeping and trying again. It is no pool of one:
//! a pool asks a connection whether it is still there each time it comes back, which is a trip of its own.

use super::checkpoints::Checkpoints;
use crate::{
    credentials::Credentials,
    figures::{Kind, PoolFigures, count},
};
use domain::ports::{StoreError, StoreResult};
use sea_orm::sqlx::{
    self, ConnectOptions, Connection, SqliteConnection, SqlitePool, sqlite::SqliteConnectOptions,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

/// The writer; clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct SqliteWriter {
    options: Arc<SqliteConnectOptions>,
    /// How long a call waits for its place before the store counts as unavailable.
    patience: Duration,
    place: Arc<Mutex<Place>>,
    credentials: Credentials,
}

/// Where whoever writes sits.
#[derive(Debug, Default)]
pub(super) struct Place {
    connection: Option<SqliteConnection>,
    /// The last one here did not come to an end: there may be a transaction of theirs.
    pub(super) is_abandoned: bool,
    is_closed: bool,
    /// None where nothing is written.
    checkpoints: Option<Checkpoints>,
    /// What is remembered of what is written here.
    pub(super) credentials: Credentials,
}

impl SqliteWriter {
    pub(crate) fn new(options: SqliteConnectOptions, patience: Duration) -> Self {
        Self::at(Place::default(), options, patience)
    }

    /// One whose log is folded into the file by one of these readers.
    pub(crate) fn beside(options: SqliteConnectOptions, patience: Duration, readers: SqlitePool) -> Self {
        let place = Place { checkpoints: Some(Checkpoints::new(readers)), ..Place::default() };
        Self::at(place, options, patience)
    }

    fn at(place: Place, options: SqliteConnectOptions, patience: Duration) -> Self {
        let credentials = place.credentials.clone();
        Self { options: Arc::new(options), patience, place: Arc::new(Mutex::new(place)), credentials }
    }

    /// The credentials that are remembered while this is the only one that writes.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The place, as soon as it is free.
    pub(super) async fn take(&self) -> StoreResult<OwnedMutexGuard<Place>> {
        let taking = timeout(self.patience, self.place.clone().lock_owned());
        let mut place = taking.await.map_err(|_| unavailable(sqlx::Error::PoolTimedOut))?;
        if place.is_closed {
            return Err(unavailable(sqlx::Error::PoolClosed));
        }
        if place.connection.is_none() {
            place.connection = Some(self.options.connect().await.map_err(unavailable)?);
            place.is_abandoned = false;
        }
        Ok(place)
    }

    /// The one connection: used while somebody writes.
    pub(crate) fn figures(&self) -> PoolFigures {
        let (used, idle) = match self.place.try_lock() {
            Err(_) => (1, 0),
            Ok(place) => (0, u32::from(place.connection.is_some())),
        };
        PoolFigures { pool: "write", used, idle, max: 1 }
    }

    /// Waits for whoever writes and closes the connection for good.
    pub(super) async fn close(&self) -> Result<(), sqlx::Error> {
        let mut place = self.place.lock().await;
        place.is_closed = true;
        if let Some(checkpoints) = place.checkpoints.take() {
            checkpoints.end().await;
        }
        match place.connection.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }
}

impl Place {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// The one who sits here has come to an end of it.
    pub(super) fn committed(&mut self) {
        self.is_abandoned = false;
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.committed();
        }
    }

    /// Gives up a connection that failed at something else than a statement; the next one here opens another. What
    /// was not committed goes with it.
    pub(super) fn give_up_if_broken(&mut self, error: &sqlx::Error) {
        if !matches!(error, sqlx::Error::Database(_)) {
            self.connection = None;
        }
    }
}

fn unavailable(error: sqlx::Error) -> StoreError {
    count(Kind::Unavailable);
    StoreError::Unavailable(Box::new(error))
}
