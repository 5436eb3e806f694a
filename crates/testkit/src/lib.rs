//! For tests only: a store in memory, the suite that every store must pass, a clock that can be set.

mod clock;
pub mod conformance;
mod memory;

pub use clock::TestClock;
pub use memory::MemoryStore;
