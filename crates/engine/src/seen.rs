//! What is allowed by how a thing was seen is done to the thing as it was seen.

use crate::{Error, Result};
use domain::{Expected, ports::StoreError};

/// Attempts at a change while others change the same thing.
const RACES_MAX: u32 = 16;

/// Makes an attempt that looks, judges, and changes what it has judged and nothing else; another one if that has changed
/// in between. Whoever named a state means that one, and is told that it is over.
pub(crate) async fn changed_as_seen<T>(
    expected: &Expected,
    attempt: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    if !expected.is_any() {
        return attempt().await;
    }
    for _ in 0..RACES_MAX {
        match attempt().await {
            Err(Error::Store(StoreError::Changed)) => {}
            done => return done,
        }
    }
    Err(Error::Internal("change what others change all the time"))
}
