//! The schema, one reversible step at a time.
//!
//! Types are those both databases keep exactly: ids are UUIDs as sea-orm binds them (16 bytes on SQLite, `uuid` on
//! PostgreSQL; UUIDv7 sorts by age in both), instants are BIGINT microseconds since 1970 (they sort, and neither
//! database rounds them), money is BIGINT micro-dollars, and payloads are `json` rather than `jsonb`, which would
//! refuse a NUL character that a tool may well print.

mod columns;
mod m0001_accounts;
mod m0002_conversations;
mod m0003_history;
mod m0004_ledger;
mod m0005_decisions;
mod m0006_approvals;
mod m0007_policies;
mod m0008_hooks;
mod m0009_audit;
mod m0010_servers;
mod m0011_transcripts;
mod m0012_archives;
mod m0013_queue;
mod m0014_counts;
mod m0015_costs;
mod m0016_budgets;
mod m0017_snapshots;
mod m0018_budget_pauses;
mod m0019_tasks;
mod m0021_session_templates;
mod m0023_mcp_servers;
mod m0024_reports;
mod m0025_idempotency;
mod m0026_traffic;
mod m0027_identities;
mod m0028_rounds;
mod m0029_spend_by_period;
mod m0030_started_at;
mod m0031_useless_archives;
mod m0032_expired_logins;
mod m0033_leftovers;

use sea_orm_migration::{MigrationTrait, MigratorTrait, sea_orm::DatabaseConnection};

pub use sea_orm_migration::DbErr;

/// Every step, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_accounts::Migration),
            Box::new(m0002_conversations::Migration),
            Box::new(m0003_history::Migration),
            Box::new(m0004_ledger::Migration),
            Box::new(m0005_decisions::Migration),
            Box::new(m0006_approvals::Migration),
            Box::new(m0007_policies::Migration),
            Box::new(m0008_hooks::Migration),
            Box::new(m0009_audit::Migration),
            Box::new(m0010_servers::Migration),
            Box::new(m0011_transcripts::Migration),
            Box::new(m0012_archives::Migration),
            Box::new(m0013_queue::Migration),
            Box::new(m0014_counts::Migration),
            Box::new(m0015_costs::Migration),
            Box::new(m0016_budgets::Migration),
            Box::new(m0017_snapshots::Migration),
            Box::new(m0018_budget_pauses::Migration),
            Box::new(m0019_tasks::Migration),
            Box::new(m0021_session_templates::Migration),
            Box::new(m0023_mcp_servers::Migration),
            Box::new(m0024_reports::Migration),
            Box::new(m0025_idempotency::Migration),
            Box::new(m0026_traffic::Migration),
            Box::new(m0027_identities::Migration),
            Box::new(m0028_rounds::Migration),
            Box::new(m0029_spend_by_period::Migration),
            Box::new(m0030_started_at::Migration),
            Box::new(m0031_useless_archives::Migration),
            Box::new(m0032_expired_logins::Migration),
            Box::new(m0033_leftovers::Migration),
        ]
    }
}

/// Brings the database up to date; does nothing if it is.
pub async fn up(db: &DatabaseConnection) -> Result<(), DbErr> {
    Migrator::up(db, None).await
}

/// Takes back the last `steps` steps, with the data in their tables.
pub async fn down(db: &DatabaseConnection, steps: u32) -> Result<(), DbErr> {
    Migrator::down(db, Some(steps)).await
}

/// How many steps there are.
#[must_use]
pub fn steps() -> u32 {
    u32::try_from(Migrator::migrations().len()).unwrap_or(u32::MAX)
}
