//! For tests only: a store in memory, the suite that every store must pass, a clock that can be set, a database.

mod clock;
pub mod conformance;
mod memory;
mod postgres;

pub use clock::TestClock;
pub use memory::MemoryStore;
pub use postgres::PostgresDatabase;
