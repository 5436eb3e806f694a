//! For tests only: stores in memory, the suite that every store must pass, a clock that can be set, a database.

mod archive_store;
mod clock;
pub mod conformance;
mod memory;
mod postgres;

pub use archive_store::MemoryArchives;
pub use clock::TestClock;
pub use memory::MemoryStore;
pub use postgres::PostgresDatabase;
