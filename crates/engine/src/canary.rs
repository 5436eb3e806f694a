//! The self-test of every governed session: a call that must be denied, tried before an agent is handed a prompt.
//!
//! It has two parts. The hooks an agent is about to get are asked about the canary, each time. Whether the CLI obeys
//! such a hook is tried once per CLI and life of the server: the real one runs with the same governance in the most
//! lenient permission mode, and the gateway plays a model that makes the call.

use crate::{
    SandboxNetwork, SessionDraft, SessionManager,
    agent::{self, Launch, TakeUp},
    handshake::Program,
    trial::Trial,
};
use domain::{RehearsedCall, Session};
use permissions::canary::{CALL_ID, PROGRAM, REASON, TOOL};
use sdk_runtime::{Agent, AgentOptions, Event, Events, HookEvent, HookInput, PermissionMode};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedMutexGuard, oneshot};
use uuid::Uuid;

/// How long all of a trial may take; a cold disk takes a while to read the CLI.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(60);
/// What the call would leave behind if it ran.
const MARKER: &str = "canary-ran";
/// The most lenient mode. If a denial holds there, it holds in all.
const BYPASS: &str = "bypassPermissions";
/// The mode where bypassing cannot be had. The tool is allowed by a rule, so nobody else would be asked.
const DEFAULT: &str = "default";

/// Whether the CLI does what it is told, as far as that is known.
#[derive(Debug, Default)]
pub(crate) struct SelfTest {
    /// Held while it is being tried, so that starters wait for each other.
    passed: Arc<tokio::sync::Mutex<Option<Program>>>,
    latest: Mutex<Latest>,
}

/// How the latest trial went.
#[derive(Debug, Clone, Default)]
enum Latest {
    #[default]
    None,
    Passed,
    Failed(String),
}

/// The agent is not started, because a denial might not hold.
#[derive(Debug, thiserror::Error)]
#[error("make sure that what is denied does not run: {0}")]
pub(crate) struct NotGoverned(String);

/// Asks the hooks an agent is about to get about the canary. One of them has to deny it.
pub(crate) async fn ask(options: &AgentOptions) -> Result<(), NotGoverned> {
    let input = json!({
        "hook_event_name": "PreToolUse",
        "tool_name": TOOL,
        "tool_input": { "command": PROGRAM },
        "tool_use_id": CALL_ID,
        "cwd": options.cwd,
        "permission_mode": BYPASS,
    });
    let hooks = options.hooks.iter().filter(|hook| hook.event == HookEvent::PreToolUse);
    for registration in hooks.filter(|hook| hook.matcher.as_deref().is_none_or(|tools| tools == TOOL)) {
        let answer =
            tokio::time::timeout(registration.timeout, registration.hook.on(HookInput::from(input.clone())));
        if let Ok(Ok(output)) = answer.await
            && is_denial(&output.0["hookSpecificOutput"])
        {
            return Ok(());
        }
    }
    Err(NotGoverned("the canary call was not denied by any hook of the agent".to_owned()))
}

fn is_denial(output: &Value) -> bool {
    let reason = output["permissionDecisionReason"].as_str().unwrap_or_default();
    output["permissionDecision"] == "deny" && reason.contains(REASON)
}

impl SelfTest {
    /// Waits until it is known that this server's CLI obeys. What failed is tried again by the next to ask.
    pub(crate) async fn passes(&self, manager: &SessionManager) -> Result<(), NotGoverned> {
        let program = Program::of(manager).map_err(NotGoverned)?;
        let passed = Arc::clone(&self.passed).lock_owned().await;
        if passed.as_ref() == Some(&program) {
            return Ok(());
        }
        let (told, tried) = oneshot::channel();
        let manager = manager.clone();
        // A task, because whoever asked may give up, and what was begun has to be cleaned up all the same.
        manager.clone().spawn(async move {
            let outcome = manager.inner.self_test.try_and_note(&manager, passed, program).await;
            // Nobody may be left to be told.
            let _ = told.send(outcome);
        });
        tried.await.unwrap_or_else(|_| Err("the trial broke off".to_owned())).map_err(NotGoverned)
    }

    /// Tries again what failed, because a server that is not ready may not be asked for a turn that would.
    pub(crate) async fn retry(&self, manager: &SessionManager) {
        let has_failed =
            matches!(*self.latest.lock().unwrap_or_else(PoisonError::into_inner), Latest::Failed(_));
        if has_failed && self.passes(manager).await.is_ok() {
            tracing::info!("the self-test that had failed was passed: sessions start again");
        }
    }

    /// For the health check: what is known, or why no session starts.
    pub(crate) fn report(&self) -> Result<Option<String>, String> {
        match self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Latest::None => Ok(Some("no agent was started yet".to_owned())),
            Latest::Passed => Ok(Some("a call that had to be denied was denied".to_owned())),
            Latest::Failed(why) => Err(format!("no session starts, because a denial might not hold: {why}")),
        }
    }

    async fn try_and_note(
        &self,
        manager: &SessionManager,
        mut passed: OwnedMutexGuard<Option<Program>>,
        program: Program,
    ) -> Result<(), String> {
        let outcome = rehearse(manager).await;
        let latest = match &outcome {
            Ok(()) => {
                *passed = Some(program);
                Latest::Passed
            }
            Err(why) => {
                tracing::error!(why, "the self-test failed: no session starts");
                Latest::Failed(why.clone())
            }
        };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = latest;
        outcome
    }
}

/// Runs the CLI in a session of its own that nobody sees, and removes what it leaves.
async fn rehearse(manager: &SessionManager) -> Result<(), String> {
    let draft = SessionDraft {
        allowed_tools: Some(vec![TOOL.to_owned()]),
        permission_mode: Some(BYPASS.to_owned()),
        ..SessionDraft::default()
    };
    let mut trial = Trial::new(manager, draft)?;
    let marker = Path::new(&trial.session.spec.working_directory).join(MARKER);
    let _on_trial = manager.inner.metrics.agent_on_trial();
    let played = tokio::time::timeout(TRIAL_TIMEOUT, async {
        match play(manager, &trial.session).await {
            Err(Unplayed::BypassRefused) => {
                trial.session.spec.permission_mode = DEFAULT.to_owned();
                play(manager, &trial.session).await
            }
            played => played,
        }
    });
    let played = played.await.unwrap_or_else(|_| Err(Unplayed::TookTooLong));
    let verdict = verdict(played, marker.exists());
    trial.end(manager).await;
    verdict
}

/// Why the trial says nothing.
#[derive(Debug)]
enum Unplayed {
    /// Root without a sandbox, for which the CLI bypasses nothing.
    BypassRefused,
    TookTooLong,
    Failed(String),
}

/// What the trial says: only a call that was made, denied with our words and did not run is a pass.
fn verdict(played: Result<Option<Value>, Unplayed>, has_run: bool) -> Result<(), String> {
    if has_run {
        return Err("the CLI ran a call that was denied".to_owned());
    }
    match played {
        Ok(Some(result)) if result["is_error"] == true && result["content"].to_string().contains(REASON) => {
            Ok(())
        }
        Ok(Some(_)) => Err("the CLI did not answer the canary call with its denial".to_owned()),
        Ok(None) => Err("the CLI did not make the canary call".to_owned()),
        Err(Unplayed::BypassRefused) => Err("the CLI refuses the permission mode of the trial".to_owned()),
        Err(Unplayed::TookTooLong) => {
            Err(format!("the trial took longer than {} s", TRIAL_TIMEOUT.as_secs()))
        }
        Err(Unplayed::Failed(why)) => Err(why),
    }
}

/// The result of the canary call, if it was made.
async fn play(manager: &SessionManager, session: &Session) -> Result<Option<Value>, Unplayed> {
    let inner = &manager.inner;
    let call = RehearsedCall {
        tool_use_id: CALL_ID.to_owned(),
        tool_name: TOOL.to_owned(),
        input: json!({ "command": format!("echo ran > {MARKER}; {PROGRAM}"), "description": "canary" }),
    };
    let endpoint = inner.model_access.rehearse(call);
    let mut settings = inner.settings.clone();
    // It works for nobody.
    settings.agent.reporting = None;
    if let Some(sandbox) = &mut settings.containment.sandbox {
        // The played model has to be reached also where sessions may reach none.
        sandbox.network = SandboxNetwork::Gateway;
    }
    let launched = agent::prepare(&settings, &inner.governance, session, &endpoint, TakeUp::Continue, false);
    let played = match launched {
        Ok(Launch { options, governed, .. }) => {
            match governed.install_for_trial(options, &inner.hooks, session) {
                Ok(options) => play_with(manager, options).await,
                Err(error) => Err(Unplayed::Failed(format!("could not {error}"))),
            }
        }
        Err(error) => Err(Unplayed::Failed(format!("could not {error}"))),
    };
    inner.model_access.revoke(&endpoint.token).await;
    played
}

async fn play_with(manager: &SessionManager, options: AgentOptions) -> Result<Option<Value>, Unplayed> {
    let bypasses = options.permission_mode == Some(PermissionMode::BypassPermissions);
    let (agent, mut events) =
        Agent::start(manager.inner.launcher.as_ref(), options).await.map_err(|error| match error {
            sdk_runtime::Error::InvalidOption { field: "permission_mode", .. } if bypasses => {
                Unplayed::BypassRefused
            }
            error => Unplayed::Failed(format!("could not {error}")),
        })?;
    let id = Uuid::new_v4();
    let played = match agent.prompt_with_id(id, PROGRAM).await {
        Ok(_) => Ok(result_of_call(&mut events, id).await),
        Err(error) => Err(Unplayed::Failed(format!("could not {error}"))),
    };
    agent.close().await;
    played
}

async fn result_of_call(events: &mut Events, prompt: Uuid) -> Option<Value> {
    let mut result = None;
    while let Some(event) = events.next().await {
        match event {
            Event::Frame(frame) => {
                let is_result =
                    |block: &&Value| block["type"] == "tool_result" && block["tool_use_id"] == CALL_ID;
                result = frame.blocks().iter().find(is_result).cloned().or(result);
            }
            Event::Finished { prompts, .. } | Event::Dropped { prompts, .. } if prompts.contains(&prompt) => {
                break;
            }
            _ => {}
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdk_runtime::{HookOutput, HookRegistration};

    fn answering(output: HookOutput) -> AgentOptions {
        let hook = HookRegistration::raw(HookEvent::PreToolUse, move |_| {
            let output = output.clone();
            async move { Ok(output) }
        });
        AgentOptions::default().with_hook(hook)
    }

    #[tokio::test]
    async fn an_agent_whose_hooks_do_not_deny_the_canary_is_not_started() {
        ask(&answering(HookOutput::deny_tool(REASON))).await.unwrap();
        let others = [
            AgentOptions::default(),
            answering(HookOutput::proceed()),
            answering(HookOutput::allow_tool()),
            answering(HookOutput::ask_gate(REASON)),
            answering(HookOutput::deny_tool("the decision could not be put on record")),
        ];
        for options in others {
            assert!(ask(&options).await.is_err(), "{:?}", options.hooks);
        }
    }

    #[test]
    fn only_a_call_that_was_made_and_denied_in_our_words_is_a_pass() {
        let denied = json!({ "is_error": true, "content": format!("{REASON} (denied by policy canary)") });
        assert_eq!(verdict(Ok(Some(denied.clone())), false), Ok(()));
        let others = [
            (Ok(Some(denied.clone())), true),
            (Ok(Some(json!({ "is_error": false, "content": denied["content"] }))), false),
            (Ok(Some(json!({ "is_error": true, "content": "command not found" }))), false),
            (Ok(None), false),
            (Err(Unplayed::TookTooLong), false),
            (Err(Unplayed::BypassRefused), false),
        ];
        for (played, has_run) in others {
            assert!(verdict(played, has_run).is_err());
        }
    }
}
