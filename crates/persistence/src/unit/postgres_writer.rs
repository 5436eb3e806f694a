//! The connections that write to PostgreSQL, and whom to tell of what they wrote.

use crate::wakeups::Exchange;
use sea_orm::sqlx::postgres::PgPool;
use std::sync::Arc;

/// The writer; clones share its connections.
#[derive(Debug, Clone)]
pub(crate) struct PostgresWriter {
    pub(super) pool: PgPool,
    pub(crate) exchange: Arc<Exchange>,
}

impl PostgresWriter {
    /// `listening` opens a connection only to listen on it, when somebody wants to hear.
    pub(crate) fn new(pool: PgPool, listening: PgPool) -> Self {
        let exchange = Arc::new(Exchange::new(pool.clone(), listening));
        Self { pool, exchange }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) async fn close(&self) {
        self.exchange.close().await;
        self.pool.close().await;
    }
}
