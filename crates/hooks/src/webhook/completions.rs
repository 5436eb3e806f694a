//! What a task's own endpoint is told: that an execution is over.

use super::{CallFailed, Client, Delivered, SecretsLost};
use crate::limits::COMPLETION_TIMEOUT;
use domain::{HookEndpointId, TaskId, hook::SealedSecret};
use jiff::Timestamp;
use secrecy::SecretString;

impl Client {
    /// Seals the secret that signs what a task's endpoint is told; it opens for this task only.
    pub fn seal_for_task(&self, task: TaskId, secret: &SecretString) -> Result<SealedSecret, SecretsLost> {
        self.sealer().seal(bound_to(task), secret)
    }

    /// Sends one signed message under this id, and takes any 2xx status for its receipt.
    pub async fn tell_of_task(
        &self,
        task: TaskId,
        secret: &SealedSecret,
        url: &str,
        id: &str,
        at: Timestamp,
        payload: &str,
    ) -> Result<Delivered, CallFailed> {
        let secret = self.sealer().open(bound_to(task), secret).map_err(|_| CallFailed::SecretLost)?;
        let sending = self.post_as(&secret, url, id, at, payload);
        let sent = tokio::time::timeout(COMPLETION_TIMEOUT, sending).await;
        sent.map_err(|_| CallFailed::TimedOut(COMPLETION_TIMEOUT))?
    }
}

/// Ids are unique whatever they are of, so that no secret of a hook opens for a task.
fn bound_to(task: TaskId) -> HookEndpointId {
    HookEndpointId(task.0)
}
