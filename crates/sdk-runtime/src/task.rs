//! The one place where this crate starts tasks.

use std::future::Future;

use tokio::task::JoinHandle;

/// Starts a task. Every task of this crate ends with the agent it serves: the driver when the process is
/// gone, the seams' answers with the driver, the supervisor after its sweep.
#[expect(
    clippy::disallowed_methods,
    reason = "these tasks are bounded by the life of an agent, which the host closes and awaits"
)]
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}
