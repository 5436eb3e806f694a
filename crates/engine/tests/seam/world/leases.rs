//! The servers of a store, whose renewals fail when they are told to.

use async_trait::async_trait;
use domain::{
    Event, Generation, ServerId, Session, SessionId, TurnId, UserId,
    ports::{Renewed, Servers, Standing, StoreError, StoreResult},
};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use testkit::MemoryStore;

/// The leases of a store, with a hand on them; clones share it.
#[derive(Clone)]
pub struct Leases {
    store: MemoryStore,
    /// While true, no renewal gets through.
    pub is_cut_off: Arc<AtomicBool>,
    /// While true, nobody is told which servers live, nor which sessions are to be cleared away.
    pub is_unreadable: Arc<AtomicBool>,
}

impl Leases {
    pub fn around(store: MemoryStore) -> Self {
        Self { store, is_cut_off: Arc::default(), is_unreadable: Arc::default() }
    }

    fn may_read(&self) -> StoreResult<()> {
        if self.is_unreadable.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("no connection is free".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Servers for Leases {
    async fn renew(&self, server: ServerId, lease: Duration) -> StoreResult<Renewed> {
        if self.is_cut_off.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the network is gone".into()));
        }
        self.store.renew(server, lease).await
    }

    async fn resign(&self, server: ServerId) -> StoreResult<()> {
        self.store.resign(server).await
    }

    async fn others(&self, server: ServerId) -> StoreResult<Vec<ServerId>> {
        self.may_read()?;
        self.store.others(server).await
    }

    async fn take_over(
        &self,
        session: SessionId,
        home: ServerId,
        at: Timestamp,
    ) -> StoreResult<Option<Generation>> {
        self.store.take_over(session, home, at).await
    }

    async fn leave(&self, session: SessionId, by: Generation) -> StoreResult<()> {
        self.store.leave(session, by).await
    }

    async fn leftovers(&self, home: ServerId, limit: u32) -> StoreResult<Vec<(SessionId, UserId)>> {
        self.store.leftovers(home, limit).await
    }

    async fn forget_leftover(&self, session: SessionId) -> StoreResult<()> {
        self.store.forget_leftover(session).await
    }

    async fn terminated(&self, home: ServerId, limit: u32) -> StoreResult<Vec<Session>> {
        self.may_read()?;
        self.store.terminated(home, limit).await
    }

    async fn relocate(
        &self,
        session: SessionId,
        by: Generation,
        working_directory: &str,
        notice: Value,
        at: Timestamp,
    ) -> StoreResult<(Session, Event)> {
        self.store.relocate(session, by, working_directory, notice, at).await
    }

    async fn request_stop(&self, session: SessionId, turn: TurnId) -> StoreResult<()> {
        self.store.request_stop(session, turn).await
    }

    async fn standings(&self, sessions: &[SessionId]) -> StoreResult<Vec<Standing>> {
        self.store.standings(sessions).await
    }
}
