//! The domain's ports on SQLite or PostgreSQL: sea-orm entities, keyset pages, units of work.
//!
//! The schema is the `migration` crate's; [`Database::open`] takes its step function as a parameter, so that this
//! crate does not depend on it.

mod accounts;
mod alerts;
mod approvals;
mod archiver;
mod archives;
mod audit;
mod budgets;
mod change;
mod costs;
mod credentials;
mod database;
mod decisions;
mod entity;
mod error;
mod executions;
mod figures;
mod fork;
mod history;
mod hook_deliveries;
mod hook_endpoints;
mod hook_runs;
mod idempotency;
mod identities;
mod journal;
mod ledger;
mod literal;
mod login_throttle;
mod logins;
mod mcp_servers;
mod owned;
mod page;
mod policies;
mod purge;
mod rate_reports;
mod recording;
mod reports;
mod servers;
mod sessions;
mod snapshots;
mod stats;
mod store;
mod tasks;
mod templates;
mod transcripts;
mod turns;
mod unit;
mod users;
mod value;
mod wakeups;

pub use archiver::{ArchiverOptions, S3Options, StorageArchiver};
pub use database::{Database, DatabaseOptions, OpenError};
pub use figures::{ErrorFigures, PoolFigures};
pub use store::Store;
