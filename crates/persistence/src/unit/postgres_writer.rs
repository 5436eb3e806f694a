//! The connections that write to PostgreSQL, and whom to tell of what they wrote.

use crate::wakeups::Exchange;
use sea_orm::sqlx::postgres::PgPool;
use std::sync::Arc;

/// The writer; clones share its connections.
#[derive(Debug, Clone)]
pub(crate) struct PostgresWriter {
    pub(super) pool: PgPool,
    /// Has the lease's own connection: a renewal that waits behind all other work may come too late.
    leases: PgPool,
    pub(crate) exchange: Arc<Exchange>,
}

impl PostgresWriter {
    /// `leases` has one connection, which is made when a lease is first renewed; `listening` opens one only to listen
    /// on it, when somebody wants to hear.
    pub(crate) fn new(pool: PgPool, leases: PgPool, listening: PgPool) -> Self {
        let exchange = Arc::new(Exchange::new(pool.clone(), listening));
        Self { pool, leases, exchange }
    }

    /// The same, on the lease's connection.
    pub(super) fn for_leases(&self) -> Self {
        Self { pool: self.leases.clone(), ..self.clone() }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) async fn close(&self) {
        self.exchange.close().await;
        self.leases.close().await;
        self.pool.close().await;
    }
}
