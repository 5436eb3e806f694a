//! What the database is doing, in figures: its pools of connections, and what it refused.

use crate::{Database, unit::Writer};
use std::sync::atomic::{AtomicU64, Ordering};

/// A pool of connections at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolFigures {
    /// `read`, `write`, or `all` where one pool is for both.
    pub pool: &'static str,
    pub used: u32,
    pub idle: u32,
    pub max: u32,
}

/// Errors that every store of this process has told of, since its start. They are counted where they are made, because
/// whoever gets one may well try again and tell nobody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErrorFigures {
    /// Of the moment.
    pub unavailable: u64,
    /// Statements that will not succeed.
    pub failed: u64,
    /// Rows that make no sense.
    pub inconsistent: u64,
}

static UNAVAILABLE: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);
static INCONSISTENT: AtomicU64 = AtomicU64::new(0);

/// Which of the counts one more error belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Unavailable,
    Failed,
    Inconsistent,
}

pub(crate) fn count(kind: Kind) {
    let counter = match kind {
        Kind::Unavailable => &UNAVAILABLE,
        Kind::Failed => &FAILED,
        Kind::Inconsistent => &INCONSISTENT,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Database {
    /// The pools as they are now.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolFigures> {
        let figures = |pool, size: u32, idle: usize, max| {
            let idle = u32::try_from(idle).unwrap_or(u32::MAX);
            PoolFigures { pool, used: size.saturating_sub(idle), idle, max }
        };
        match (&self.read, &self.writer) {
            (read, Writer::Sqlite(writer)) => {
                let pool = read.get_sqlite_connection_pool();
                let max = pool.options().get_max_connections();
                vec![writer.figures(), figures("read", pool.size(), pool.num_idle(), max)]
            }
            (_, Writer::Postgres(writer)) => {
                let pool = writer.pool();
                vec![figures("all", pool.size(), pool.num_idle(), pool.options().get_max_connections())]
            }
        }
    }

    /// What went wrong so far.
    #[must_use]
    pub fn errors(&self) -> ErrorFigures {
        ErrorFigures {
            unavailable: UNAVAILABLE.load(Ordering::Relaxed),
            failed: FAILED.load(Ordering::Relaxed),
            inconsistent: INCONSISTENT.load(Ordering::Relaxed),
        }
    }
}
