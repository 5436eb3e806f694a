//! For tests only: a store in memory, the suite that every store must pass, a clock that can be set, a database.

mod clock;
pub mod conformance;
mod memory;
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; this crate is for tests only"
)]
mod postgres;

pub use clock::TestClock;
pub use memory::MemoryStore;
pub use postgres::PostgresDatabase;
