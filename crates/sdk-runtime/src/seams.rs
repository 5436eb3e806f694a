//! Bringing the agent's requests before the host's hooks, gate and persons. Every way of failing means no.

use std::{
    future::{self, Future},
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tracing::Instrument as _;

use crate::{
    dialog::{DialogAnswer, Dialogs, UserDialog},
    elicitation::{ElicitationAnswer, ElicitationQuestion, Elicitor},
    gate::{Decision, Gate, ToolQuestion},
    hook::{self, HookInput, HookOutput, HookRegistration, OnFailure, SeamError},
    invocation::hook_index,
    mcp::Sessions,
    options::AgentOptions,
    protocol::{Answer, RequestKind},
    telemetry::Timed,
};

/// What the agent reads when the host gave no gate.
const NO_GATE_MESSAGE: &str =
    "Permission denied: nobody is here to approve this tool call. Go on without it.";

/// The host's hooks, gate and persons.
#[derive(Debug)]
pub(crate) struct Seams {
    hooks: Vec<HookRegistration>,
    gate: Option<Arc<dyn Gate>>,
    elicitor: Option<Arc<dyn Elicitor>>,
    dialogs: Option<Dialogs>,
    gate_timeout: Option<Duration>,
}

impl Seams {
    /// Everything in the options that answers the agent.
    pub(crate) fn of(options: &AgentOptions) -> Self {
        Self {
            hooks: options.hooks.clone(),
            gate: options.gate.clone(),
            elicitor: options.elicitor.clone(),
            dialogs: options.dialogs.clone(),
            gate_timeout: options.limits.gate_timeout,
        }
    }

    /// The answer to one request. What depends on the order of requests is done before this returns. Whatever
    /// breaks down on the way, the agent gets an answer, and the driver lives.
    pub(crate) fn answer(
        self: Arc<Self>,
        request: RequestKind,
        mcp: &Sessions,
    ) -> BoxFuture<'static, Answer> {
        let broken = || Answer::Error("the host broke down over this request".to_owned());
        match panic::catch_unwind(AssertUnwindSafe(|| self.begin(request, mcp))) {
            Ok(answer) => {
                async move { AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_panic| broken()) }
                    .boxed()
            }
            Err(_panic) => future::ready(broken()).boxed(),
        }
    }

    fn begin(self: Arc<Self>, request: RequestKind, mcp: &Sessions) -> BoxFuture<'static, Answer> {
        match request {
            RequestKind::McpMessage { server_name, message } => mcp.take(&server_name, message),
            RequestKind::CanUseTool(question) => async move { self.ask_gate(question).await }.boxed(),
            RequestKind::HookCallback { callback_id, input } => {
                async move { self.call_hook(&callback_id, input).await }.boxed()
            }
            RequestKind::Elicitation(question) => {
                async move { Answer::Success(self.elicit(question).await.into_wire()) }.boxed()
            }
            RequestKind::UserDialog(dialog) => {
                async move { Answer::Success(self.show(dialog).await.into_wire()) }.boxed()
            }
            RequestKind::Unknown { subtype } => {
                future::ready(Answer::Error(format!("this host does not answer {subtype} requests"))).boxed()
            }
        }
    }

    async fn ask_gate(&self, question: ToolQuestion) -> Answer {
        let timed = Timed::gate(&question.tool_name);
        let Some(gate) = &self.gate else {
            timed.end("nobody");
            return denied(NO_GATE_MESSAGE);
        };
        let decision = guarded(self.gate_timeout, async { gate.can_use_tool(question).await })
            .instrument(timed.span())
            .await;
        let decided = decision.and_then(|decision| {
            let word = match decision {
                Decision::Allow { .. } => "allow",
                Decision::Deny { .. } => "deny",
            };
            Ok((word, decision.into_wire()?))
        });
        match decided {
            Ok((word, decision)) => {
                timed.end(word);
                Answer::Success(decision)
            }
            Err(failure) => {
                timed.end("failed");
                denied(&format!("Permission denied: the approval {failure}."))
            }
        }
    }

    async fn call_hook(&self, callback_id: &str, input: HookInput) -> Answer {
        let registered = hook_index(callback_id).and_then(|index| Some((index, self.hooks.get(index)?)));
        let Some((index, hook)) = registered else {
            return Answer::Error(format!("no hook is registered as {callback_id}"));
        };
        let timed = Timed::hook(hook.event.as_str(), index);
        let answered =
            guarded(Some(hook.timeout), async { hook.hook.on(input).await }).instrument(timed.span()).await;
        let answered = answered.and_then(|output| match hook::fault(&hook.event, &output) {
            None => Ok(output),
            Some(fault) => Err(fault),
        });
        match answered {
            Ok(HookOutput(output)) => {
                timed.end("answered");
                Answer::Success(output)
            }
            Err(failure) => {
                timed.end("failed");
                hook_failed(hook, &failure)
            }
        }
    }

    async fn elicit(&self, question: ElicitationQuestion) -> ElicitationAnswer {
        let timed = Timed::elicitation();
        let Some(elicitor) = &self.elicitor else {
            timed.end("nobody");
            return ElicitationAnswer::Decline;
        };
        match guarded(self.gate_timeout, async { elicitor.elicit(question).await })
            .instrument(timed.span())
            .await
        {
            Ok(answer) => {
                timed.end("answered");
                answer
            }
            Err(_failure) => {
                timed.end("failed");
                ElicitationAnswer::Cancel
            }
        }
    }

    async fn show(&self, dialog: UserDialog) -> DialogAnswer {
        let timed = Timed::dialog();
        let Some(dialogs) = self.dialogs.as_ref().filter(|dialogs| dialogs.kinds.contains(&dialog.kind))
        else {
            timed.end("nobody");
            return DialogAnswer::Cancelled;
        };
        match guarded(self.gate_timeout, async { dialogs.host.show(dialog).await })
            .instrument(timed.span())
            .await
        {
            Ok(answer) => {
                timed.end("answered");
                answer
            }
            Err(_failure) => {
                timed.end("failed");
                DialogAnswer::Cancelled
            }
        }
    }
}

fn denied(message: &str) -> Answer {
    Decision::deny(message).into_wire().map_or_else(Answer::Error, Answer::Success)
}

/// An error answer alone would let the tool run in agents that ignore `onFailure`, so it is spelled out.
fn hook_failed(hook: &HookRegistration, failure: &str) -> Answer {
    let no = match hook.on_failure {
        OnFailure::Block => hook::no(&hook.event, &format!("Denied: the policy check {failure}.")),
        OnFailure::Continue => None,
    };
    match no {
        Some(no) => Answer::Success(no),
        None => Answer::Error(format!("the {} hook {failure}", hook.event)),
    }
}

/// Awaits a seam, whose call is part of the future, turning error, time-out and panic into the words for it.
async fn guarded<T>(
    timeout: Option<Duration>,
    answer: impl Future<Output = Result<T, SeamError>>,
) -> Result<T, String> {
    // The words of an error are the host's code too.
    let answer = async { answer.await.map_err(|error| format!("failed: {error}")) };
    let answer = AssertUnwindSafe(answer).catch_unwind();
    let answered = match timeout {
        None => answer.await,
        Some(timeout) => tokio::time::timeout(timeout, answer)
            .await
            .map_err(|_| format!("did not answer within {timeout:?}"))?,
    };
    answered.unwrap_or_else(|_panic| Err("broke down".to_owned()))
}
