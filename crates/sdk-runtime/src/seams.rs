//! Bringing the agent's requests before the host's hooks and gate. Every way of failing means no.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use serde_json::json;

use crate::{
    gate::{Decision, Gate, ToolQuestion},
    hook::{HookInput, HookOutput, HookRegistration, OnFailure, SeamError},
    invocation::hook_index,
    mcp::Sessions,
    protocol::{Answer, RequestKind},
};

/// What the agent reads when the host gave no gate.
const NO_GATE_MESSAGE: &str =
    "Permission denied: nobody is here to approve this tool call. Go on without it.";

/// The host's hooks and gate.
#[derive(Debug)]
pub(crate) struct Seams {
    hooks: Vec<HookRegistration>,
    gate: Option<Arc<dyn Gate>>,
    gate_timeout: Option<Duration>,
    mcp: Arc<Sessions>,
}

impl Seams {
    pub(crate) fn new(
        hooks: Vec<HookRegistration>,
        gate: Option<Arc<dyn Gate>>,
        gate_timeout: Option<Duration>,
        mcp: Arc<Sessions>,
    ) -> Self {
        Self { hooks, gate, gate_timeout, mcp }
    }

    /// The answer to one request. What depends on the order of requests is done before this returns.
    pub(crate) fn answer(self: Arc<Self>, request: RequestKind) -> BoxFuture<'static, Answer> {
        match request {
            RequestKind::McpMessage { server_name, message } => self.mcp.take(&server_name, message),
            request => async move { self.ask(request).await }.boxed(),
        }
    }

    /// The agent is gone: its MCP sessions end.
    pub(crate) fn close(&self) {
        self.mcp.close();
    }

    async fn ask(&self, request: RequestKind) -> Answer {
        match request {
            RequestKind::McpMessage { server_name, message } => self.mcp.take(&server_name, message).await,
            RequestKind::CanUseTool(question) => Answer::Success(self.ask_gate(question).await.into_wire()),
            RequestKind::HookCallback { callback_id, input } => self.call_hook(&callback_id, input).await,
            RequestKind::Elicitation => Answer::Success(json!({ "action": "decline" })),
            RequestKind::UserDialog => Answer::Success(json!({ "behavior": "cancelled" })),
            RequestKind::Unknown { subtype } => {
                Answer::Error(format!("this host does not answer {subtype} requests"))
            }
        }
    }

    async fn ask_gate(&self, question: ToolQuestion) -> Decision {
        let Some(gate) = &self.gate else {
            return Decision::deny(NO_GATE_MESSAGE);
        };
        let decision = guarded(self.gate_timeout, gate.can_use_tool(question)).await;
        decision
            .unwrap_or_else(|failure| Decision::deny(format!("Permission denied: the approval {failure}.")))
    }

    async fn call_hook(&self, callback_id: &str, input: HookInput) -> Answer {
        let Some(hook) = hook_index(callback_id).and_then(|index| self.hooks.get(index)) else {
            return Answer::Error(format!("no hook is registered as {callback_id}"));
        };
        let decision = guarded(Some(hook.timeout), hook.hook.on(input)).await;
        match decision {
            Ok(HookOutput(output)) => Answer::Success(output),
            Err(failure) => hook_failed(hook, &failure),
        }
    }
}

/// An error answer alone would let the tool run in agents that ignore `onFailure`, so it is spelled out.
fn hook_failed(hook: &HookRegistration, failure: &str) -> Answer {
    match hook.on_failure {
        OnFailure::Block if hook.event == "PreToolUse" => {
            let reason = format!("Denied: the policy check {failure}.");
            Answer::Success(HookOutput::deny_tool(reason).0)
        }
        OnFailure::Block | OnFailure::Continue => Answer::Error(format!("the {} hook {failure}", hook.event)),
    }
}

/// Awaits a seam, turning error, time-out and panic into the words for it.
async fn guarded<T>(
    timeout: Option<Duration>,
    answer: impl Future<Output = Result<T, SeamError>>,
) -> Result<T, String> {
    let answer = AssertUnwindSafe(answer).catch_unwind();
    let answered = match timeout {
        None => answer.await,
        Some(timeout) => tokio::time::timeout(timeout, answer)
            .await
            .map_err(|_| format!("did not answer within {timeout:?}"))?,
    };
    match answered {
        Ok(answer) => answer.map_err(|error| format!("failed: {error}")),
        Err(_panic) => Err("broke down".to_owned()),
    }
}
