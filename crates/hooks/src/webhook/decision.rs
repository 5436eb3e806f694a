//! An endpoint that is asked: the agent waits, and what it answers is the answer of a hook.

use super::{Client, message};
use crate::HookScope;
use async_trait::async_trait;
use domain::{Clock, HookDeliveryId, HookEndpoint};
use sdk_runtime::{Hook, HookInput, HookOutput, hook::SeamError};
use serde_json::json;
use std::{fmt, sync::Arc};

/// Asks one endpoint on behalf of one session. It is asked once: a question that is repeated may be answered twice.
pub struct DecisionHook {
    pub endpoint: Arc<HookEndpoint>,
    pub scope: HookScope,
    pub client: Client,
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for DecisionHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionHook").field("name", &self.endpoint.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Hook for DecisionHook {
    async fn on(&self, input: HookInput) -> Result<HookOutput, SeamError> {
        let now = self.clock.now();
        let data = json!({
            "session_id": self.scope.session_id,
            "user_id": self.scope.user_id,
            "turn_id": self.scope.turn.get(),
            "hook_name": self.endpoint.name,
            "input": input.raw,
        });
        let question = message(input.event.as_str(), now, &data);
        // How long it may take is the chain's to watch, as of any hook.
        let answer = self.client.post(&self.endpoint, HookDeliveryId::new(), now, &question).await?;
        if answer.body.is_empty() {
            return Ok(HookOutput::proceed());
        }
        let output =
            serde_json::from_slice(&answer.body).map_err(|_| "it answered with something that is no JSON")?;
        Ok(HookOutput(output))
    }
}
