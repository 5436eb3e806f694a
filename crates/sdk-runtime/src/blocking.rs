//! The one place where this crate's file work leaves the async threads.

use std::{io, panic::resume_unwind};

/// Runs file work on tokio's blocking threads. Work that has begun runs to its end, also when the caller
/// stops waiting. Fails only when the runtime goes down first.
pub(crate) async fn blocking<T, F>(work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(io::Error::other("the runtime is shutting down")),
        },
    }
}
