//! All hooks of one event, run in order; whatever goes wrong in one of them is that one's fail mode.

use crate::{
    HookScope, Matcher, Observation, Observer, Origin, SessionHook,
    excerpt::excerpt,
    joined::{Joined, alone},
    recorder::Recorder,
};
use async_trait::async_trait;
use domain::{Clock, HookDelivery, HookRun, HookRunId, HookRunStatus};
use futures::FutureExt;
use monitoring::spans;
use sdk_runtime::{Hook, HookEvent, HookInput, HookOutput, OnFailure, hook::SeamError};
use serde_json::json;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use tracing::Instrument;

/// The hooks of one event of one session, as one hook.
pub struct Chain {
    pub event: HookEvent,
    pub scope: HookScope,
    /// In order.
    pub hooks: Vec<(Matcher, SessionHook)>,
    /// Who judges what hooks of `PermissionRequest` allow, as they judge the call itself.
    pub verdicts: Vec<(Matcher, SessionHook)>,
    pub observers: Vec<Arc<dyn Observer>>,
    pub recorder: Recorder,
    pub clock: Arc<dyn Clock>,
}

/// What a hook came to.
enum Answer {
    Output(HookOutput),
    Failed(String),
    TimedOut(Duration),
}

#[async_trait]
impl Hook for Chain {
    async fn on(&self, mut input: HookInput) -> Result<HookOutput, SeamError> {
        if (self.scope.is_trial)(&input)
            && let Some((_, last)) = self.hooks.last()
        {
            return last.hook.on(input).await;
        }
        self.trace_call(&input);
        let mut joined = Joined::new(self.event.clone());
        let mut runs = vec![];
        let mut fatal = None;
        for (matcher, hook) in &self.hooks {
            if !matcher.matches(input.tool_name.as_deref()) {
                continue;
            }
            runs.push(self.run(hook, &mut input, &mut joined, &mut fatal).await);
            if joined.is_no() || fatal.is_some() {
                break;
            }
        }
        if fatal.is_none() && joined.is_allowed_request() {
            self.judge(&input, &mut joined, &mut runs).await;
        }
        let deliveries = self.observe(&input, &mut runs, &joined, fatal.as_deref());
        let recorded = self.recorder.record(self.scope.generation, runs, deliveries).await;
        recorded.map_err(|error| format!("could not {error}"))?;
        match fatal {
            None => Ok(joined.into_output()),
            // An event that cannot say no: the agent is told that the hook failed, and makes of it what it can.
            Some(failure) => Err(failure.into()),
        }
    }
}

impl Chain {
    /// Begins the span of a tool call, of which hooks may hear before whoever reads the agent's messages. Where a
    /// subagent calls, only they know below which call.
    fn trace_call(&self, input: &HookInput) {
        if self.event == HookEvent::PreToolUse
            && input.agent_id.is_none()
            && let (Some(turn), Some(call), Some(tool)) =
                (self.scope.turn.get(), &input.tool_use_id, &input.tool_name)
        {
            spans::tool_began(turn, call, tool, &input.tool_input, None);
        }
    }

    /// Has judged what a hook allows where somebody would be asked. The agent asks both at once and takes the first
    /// answer, and what a hook made of the input was not judged yet.
    async fn judge(&self, input: &HookInput, joined: &mut Joined, runs: &mut Vec<HookRun>) {
        let mut call = input.clone();
        call.event = HookEvent::PreToolUse;
        if let Some(raw) = call.raw.as_object_mut() {
            raw.insert("hook_event_name".to_owned(), call.event.as_str().into());
        }
        let mut judged = Joined::new(call.event.clone());
        let tool = input.tool_name.as_deref();
        let judges: Vec<_> = self.verdicts.iter().filter(|(matcher, _)| matcher.matches(tool)).collect();
        if judges.is_empty() {
            judged.add(&HookOutput::ask_gate("nobody judges it"));
        }
        for (_, judge) in judges {
            // A call can always be refused, so no failure is fatal.
            runs.push(self.run(judge, &mut call, &mut judged, &mut None).await);
            if judged.is_no() {
                break;
            }
        }
        joined.hold_request_to(&judged);
    }

    /// Calls a hook. Its answer is in `joined` afterwards, and what it changed in `input`; `fatal` says what nothing can
    /// go on after.
    async fn run(
        &self,
        hook: &SessionHook,
        input: &mut HookInput,
        joined: &mut Joined,
        fatal: &mut Option<String>,
    ) -> HookRun {
        let event = joined.event().clone();
        let executed_at = self.clock.now();
        let started = Instant::now();
        let recorded_input = excerpt(&input.raw);
        let (call_id, tool) = (input.tool_use_id.clone(), input.tool_name.clone());
        let turn = self.scope.turn.get();
        let step = spans::hook(turn, call_id.as_deref(), event.as_str(), &hook.name, tool.as_deref());
        let answer = call(&event, hook, input.clone()).instrument(step.span()).await;
        let elapsed = started.elapsed();
        let (status, output, error) = match answer {
            Answer::Output(output) if alone(&event, &output).is_no() => {
                (HookRunStatus::Blocked, Some(output), None)
            }
            Answer::Output(output) => (HookRunStatus::Completed, Some(output), None),
            Answer::Failed(error) => (HookRunStatus::Failed, None, Some(error)),
            Answer::TimedOut(limit) => {
                (HookRunStatus::TimedOut, None, Some(format!("did not answer within {limit:?}")))
            }
        };
        match status {
            HookRunStatus::Failed | HookRunStatus::TimedOut => step.fail(status.as_str()),
            other => step.end(other.as_str()),
        }
        let recorded_output = output.as_ref().map(|output| excerpt(&output.0));
        let refusal = error.as_ref().filter(|_| hook.on_failure == OnFailure::Block);
        let refusal = refusal.map(|error| format!("Denied: the hook {} {error}.", hook.name));
        let effective = match &refusal {
            None => output,
            Some(refusal) => HookOutput::refuse(&event, refusal).or_else(|| {
                *fatal = Some(format!("the hook {} {}", hook.name, error.as_deref().unwrap_or_default()));
                None
            }),
        };
        let stops = effective.as_ref().is_some_and(|output| alone(&event, output).is_stop());
        if let Some(output) = &effective {
            joined.add(output);
        }
        let changed = joined.apply(input);
        let continued = refusal.is_none() && status != HookRunStatus::Blocked && !stops;
        HookRun {
            hook_name: hook.name.clone(),
            input: recorded_input,
            output: recorded_output,
            continued,
            is_notable: hook.origin == Origin::Custom || status != HookRunStatus::Completed || changed,
            status,
            error,
            duration_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            executed_at,
            ..self.blank(input)
        }
    }

    fn observe(
        &self,
        input: &HookInput,
        runs: &mut Vec<HookRun>,
        joined: &Joined,
        fatal: Option<&str>,
    ) -> Vec<HookDelivery> {
        let mut deliveries = vec![];
        let mut books = vec![];
        for observer in &self.observers {
            let seen = Observation {
                scope: &self.scope,
                input,
                runs,
                is_no: joined.is_no() || fatal.is_some(),
                reason: fatal.or(joined.reason()),
                at: self.clock.now(),
            };
            let started = Instant::now();
            let observed = catch_unwind(AssertUnwindSafe(|| observer.observe(&seen)));
            let (status, error) = match observed {
                Ok(None) => continue,
                Ok(Some(observed)) => {
                    deliveries.extend(observed.deliveries);
                    (HookRunStatus::Completed, None)
                }
                Err(_panic) => (HookRunStatus::Failed, Some("broke down".to_owned())),
            };
            books.push(HookRun {
                hook_name: observer.name().to_owned(),
                input: excerpt(&input.raw),
                output: Some(json!({})),
                is_notable: status != HookRunStatus::Completed,
                status,
                error,
                duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
                executed_at: seen.at,
                ..self.blank(input)
            });
        }
        runs.extend(books);
        deliveries
    }

    /// A run of this event with nothing said of what came of it.
    fn blank(&self, input: &HookInput) -> HookRun {
        HookRun {
            id: HookRunId::new(),
            session_id: self.scope.session_id,
            turn_id: self.scope.turn.get(),
            hook_type: self.event.as_str().to_owned(),
            hook_name: String::new(),
            tool_use_id: input.tool_use_id.clone(),
            tool_name: input.tool_name.clone(),
            input: serde_json::Value::Null,
            output: None,
            continued: true,
            status: HookRunStatus::Completed,
            error: None,
            duration_us: 0,
            is_notable: false,
            executed_at: self.clock.now(),
        }
    }
}

/// The hook's answer, or in which way it did not give one.
async fn call(event: &HookEvent, hook: &SessionHook, told: HookInput) -> Answer {
    let answer = AssertUnwindSafe(async { hook.hook.on(told).await }).catch_unwind();
    match tokio::time::timeout(hook.timeout, answer).await {
        Err(_elapsed) => Answer::TimedOut(hook.timeout),
        Ok(Err(_panic)) => Answer::Failed("broke down".to_owned()),
        Ok(Ok(Err(error))) => Answer::Failed(format!("failed: {error}")),
        Ok(Ok(Ok(output))) => match output.fault(event) {
            Some(fault) => Answer::Failed(fault),
            None => Answer::Output(output),
        },
    }
}
