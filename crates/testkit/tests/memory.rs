//! The suite every store must pass, on the store in memory.

use testkit::MemoryStore;

async fn fresh() -> (MemoryStore, ()) {
    (MemoryStore::default(), ())
}

testkit::store_conformance!(fresh());
