//! The driver against the scripted agent, in virtual time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sdk_runtime::{
    Agent, AgentOptions, Decision, DropReason, Error, Event, Events, Gate, Hook, HookInput, HookOutput,
    HookRegistration, OnFailure, Outcome, PromptContent, Queued, SeamError, SkipReason, ToolQuestion,
    TurnResult,
    testing::{Say, ScriptedLauncher},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

async fn start(launcher: &ScriptedLauncher, options: AgentOptions) -> (Agent, Events) {
    Agent::start(launcher, options).await.unwrap()
}

async fn say(agent: &Agent, text: &str) -> Uuid {
    agent.prompt(PromptContent::Text(text.to_owned())).await.unwrap()
}

async fn result_of(events: &mut Events, id: Uuid) -> TurnResult {
    loop {
        match events.next().await.unwrap() {
            Event::Finished { prompts, result } if prompts.contains(&id) => return *result,
            Event::Exited(said) => panic!("the agent ended: {}", said.words()),
            _ => {}
        }
    }
}

/// Runs one `Bash` call and says what the host answered to the last question.
async fn bash(options: AgentOptions) -> (Value, TurnResult) {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say: Say| async move {
        say.tool("Bash", json!({ "command": "rm x" }), "removed").await;
    });
    let (agent, mut events) = start(&launcher, options).await;
    let id = say(&agent, "go").await;
    let result = result_of(&mut events, id).await;
    let answer = launcher.last_agent().answers().pop().unwrap();
    agent.close().await;
    (answer, result)
}

enum Behaviour {
    Errs,
    Panics,
    Sleeps,
}

#[async_trait]
impl Hook for Behaviour {
    async fn on(&self, _input: HookInput) -> Result<HookOutput, SeamError> {
        match self {
            Self::Errs => Err("no store".into()),
            Self::Panics => panic!("on purpose"),
            Self::Sleeps => pending().await,
        }
    }
}

#[async_trait]
impl Gate for Behaviour {
    async fn can_use_tool(&self, _question: ToolQuestion) -> Result<Decision, SeamError> {
        match self {
            Self::Errs => Err("no store".into()),
            Self::Panics => panic!("on purpose"),
            Self::Sleeps => pending().await,
        }
    }
}

fn pre_tool_use(hook: Behaviour) -> HookRegistration {
    HookRegistration::new("PreToolUse", Arc::new(hook))
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_in_any_way_is_a_no_with_a_reason() {
    for (behaviour, words) in [
        (Behaviour::Errs, "failed: no store"),
        (Behaviour::Panics, "broke down"),
        (Behaviour::Sleeps, "did not answer within 60s"),
    ] {
        let options = AgentOptions::default().with_hook(pre_tool_use(behaviour));
        let (answer, result) = bash(options).await;
        let output = &answer["response"]["hookSpecificOutput"];
        assert_eq!(output["permissionDecision"], "deny", "{answer}");
        let reason = output["permissionDecisionReason"].as_str().unwrap();
        assert!(reason.contains(words), "{reason}");
        assert_eq!(result.permission_denials.as_array().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_may_fail_answers_with_an_error() {
    let hook = pre_tool_use(Behaviour::Errs).with_on_failure(OnFailure::Continue);
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.ask_hooks("PreToolUse", "Bash", &json!({}), "t", json!({})).await;
    });
    let (agent, mut events) = start(&launcher, AgentOptions::default().with_hook(hook)).await;
    let id = say(&agent, "go").await;
    result_of(&mut events, id).await;
    let agent = launcher.last_agent();
    assert_eq!(agent.answers()[0]["subtype"], "error");
    let registered = &agent.controls("initialize")[0]["hooks"]["PreToolUse"][0];
    assert_eq!(registered["onFailure"], "continue");
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_fails_in_any_way_is_a_no_with_a_reason() {
    for (behaviour, words) in [
        (Behaviour::Errs, "failed: no store"),
        (Behaviour::Panics, "broke down"),
        (Behaviour::Sleeps, "did not answer within 7s"),
    ] {
        let gate: Arc<dyn Gate> = Arc::new(behaviour);
        let mut options = AgentOptions::default().with_gate(Some(gate));
        options.limits.gate_timeout = Some(Duration::from_secs(7));
        let (answer, _) = bash(options).await;
        assert_eq!(answer["response"]["behavior"], "deny", "{answer}");
        let message = answer["response"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_gate_nobody_is_there() {
    let (answer, _) = bash(AgentOptions::default()).await;
    let message = answer["response"]["message"].as_str().unwrap();
    assert!(message.contains("nobody is here to approve"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_answered_with_an_error_and_what_needs_a_person_with_no() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        let unknown = say.ask(json!({ "subtype": "brand_new" })).await;
        assert!(unknown["error"].is_string(), "{unknown}");
        let elicitation = say.ask(json!({ "subtype": "elicitation" })).await;
        assert_eq!(elicitation["action"], "decline");
        let dialog = say.ask(json!({ "subtype": "request_user_dialog" })).await;
        assert_eq!(dialog["behavior"], "cancelled");
        say.text("asked all");
    });
    let (agent, mut events) = start(&launcher, AgentOptions::default()).await;
    let id = say(&agent, "go").await;
    let result = result_of(&mut events, id).await;
    assert_eq!(result.text.as_deref(), Some("asked all"));
}

/// Says when it is asked and when its question is dropped.
struct Watching(Arc<AtomicBool>, tokio::sync::watch::Sender<bool>);

struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Gate for Watching {
    async fn can_use_tool(&self, _question: ToolQuestion) -> Result<Decision, SeamError> {
        let _dropped = Dropped(Arc::clone(&self.0));
        self.1.send_replace(true);
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_withdraws_the_question_and_nothing_is_answered() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.tool("Bash", json!({}), "never").await;
    });
    let (asked, mut is_asked) = tokio::sync::watch::channel(false);
    let is_dropped = Arc::new(AtomicBool::new(false));
    let gate: Arc<dyn Gate> = Arc::new(Watching(Arc::clone(&is_dropped), asked));
    let (agent, mut events) = start(&launcher, AgentOptions::default().with_gate(Some(gate))).await;
    let id = say(&agent, "go").await;
    is_asked.wait_for(|asked| *asked).await.unwrap();
    agent.interrupt(Queued::Keep).await.unwrap();
    let result = result_of(&mut events, id).await;
    assert_eq!(result.outcome(), Outcome::Interrupted);
    assert!(is_dropped.load(Ordering::SeqCst));
    agent.close().await;
    assert!(launcher.last_agent().answers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn queued_prompts_are_taken_back_when_asked() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move { say.hang().await });
    let (agent, mut events) = start(&launcher, AgentOptions::default()).await;
    let first = say(&agent, "one").await;
    let second = say(&agent, "two").await;
    let receipt = agent.interrupt(Queued::Cancel).await.unwrap();
    assert_eq!(receipt.cancelled, [second]);
    let mut dropped = Vec::new();
    loop {
        match events.next().await.unwrap() {
            Event::Dropped { prompts, why } => {
                assert_eq!(why, DropReason::Cancelled);
                dropped.extend(prompts);
            }
            Event::Finished { prompts, .. } => break assert_eq!(prompts, [first]),
            _ => {}
        }
    }
    assert_eq!(dropped, [second]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_fails_everything_with_its_words() {
    let launcher =
        ScriptedLauncher::new().on_prompt(|_, say| async move { say.exit(7, "out of memory").await });
    let (agent, mut events) = start(&launcher, AgentOptions::default()).await;
    let id = say(&agent, "go").await;
    let said = loop {
        if let Event::Exited(said) = events.next().await.unwrap() {
            break said;
        }
    };
    assert_eq!(said.exit.code, Some(7));
    assert_eq!(said.open_prompts, [id]);
    assert!(events.next().await.is_none(), "the exit is the last event");
    let error = agent.control("anything", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("out of memory"), "{error}");
    let error = agent.prompt(PromptContent::Text("x".into())).await.unwrap_err();
    assert!(matches!(error, Error::Exited { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn starts_that_fail_have_names() {
    let try_start = |launcher: ScriptedLauncher| async move {
        let hook = HookRegistration::new("PreToolUse", Arc::new(Behaviour::Errs));
        let options = AgentOptions::default().with_hook(hook);
        let error = Agent::start(&launcher, options).await.map(drop).unwrap_err();
        assert!(launcher.alive().is_empty(), "nothing is left running");
        error
    };
    let new = ScriptedLauncher::new;
    let error = try_start(new().silent_at_start()).await;
    assert!(matches!(error, Error::HandshakeTimeout { .. }), "{error:?}");
    let error = try_start(new().with_version("2.1.100")).await;
    assert!(matches!(error, Error::CliTooOld { .. }), "{error:?}");
    let error = try_start(new().exits_at_start(1, "No conversation found")).await;
    assert!(error.to_string().contains("No conversation found"), "{error}");
    let blind = new().with_initialize("hook_on_failure_supported", Value::Null);
    let error = try_start(blind).await;
    assert!(matches!(error, Error::HooksFailOpen { .. }), "{error:?}");
    let path = "/nowhere".into();
    let error = try_start(new().fails_to_launch(Error::CliNotFound { path })).await;
    assert!(matches!(error, Error::CliNotFound { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_control_request_has_a_bounded_wait_and_its_refusal_a_code() {
    let launcher = ScriptedLauncher::new()
        .on_control("set_permission_mode", |_| Err("no such mode".to_owned()))
        .on_prompt(|_, say| async move { say.hang().await });
    let (agent, _events) = start(&launcher, AgentOptions::default()).await;
    let error = agent.set_permission_mode("wild").await.unwrap_err();
    assert!(matches!(&error, Error::Control { message, .. } if message == "no such mode"));
    agent.set_model(Some("other")).await.unwrap();
    assert_eq!(launcher.last_agent().controls("set_model")[0]["model"], "other");
    agent.kill().await;
    assert!(launcher.alive().is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_the_agent() {
    let launcher = ScriptedLauncher::new();
    let (agent, mut events) = start(&launcher, AgentOptions::default()).await;
    let scripted = launcher.last_agent();
    let clone = agent.clone();
    drop(agent);
    assert!(scripted.is_alive());
    drop(clone);
    assert_eq!(scripted.ended().await.signal, Some(9));
    loop {
        if let Event::Exited(_) = events.next().await.unwrap() {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_nobody_asked_for_names_no_prompt() {
    let launcher = ScriptedLauncher::new();
    let (agent, mut events) = start(&launcher, AgentOptions::default()).await;
    launcher.last_agent().wake("the task is done");
    loop {
        if let Event::Finished { prompts, result } = events.next().await.unwrap() {
            assert!(prompts.is_empty());
            break assert_eq!(result.text.as_deref(), Some("the task is done"));
        }
    }
    agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_the_agent_writes_stops_the_reader() {
    let launcher = ScriptedLauncher::new();
    let mut options = AgentOptions::default();
    options.limits.line_bytes_max = 10_000;
    let (agent, mut events) = start(&launcher, options).await;
    let long = "x".repeat(10_001);
    let lines: [&[u8]; 6] = [
        b"[SandboxDebug] plain",
        b"{\"a\":",
        b"{\"\xff\":1}",
        long.as_bytes(),
        b"{}",
        b"{\"cut\":\"\\ud83d\"}",
    ];
    for line in lines {
        launcher.last_agent().say_bytes([line, b"\n"].concat());
    }
    let id = say(&agent, "still there?").await;
    let (mut skipped, mut unknown) = (Vec::new(), 0);
    loop {
        match events.next().await.unwrap() {
            Event::Skipped { reason, .. } => skipped.push(reason),
            Event::Frame(sdk_runtime::Frame::Unknown(_)) => unknown += 1,
            Event::Finished { prompts, .. } => break assert_eq!(prompts, [id]),
            _ => {}
        }
    }
    let wanted =
        [SkipReason::NotAnObject, SkipReason::InvalidJson, SkipReason::InvalidUtf8, SkipReason::Oversized];
    assert_eq!(skipped, wanted);
    assert_eq!(unknown, 2, "what can be read is kept, known or not");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_read_is_refused_and_nobody_is_asked() {
    let launcher = ScriptedLauncher::new();
    let mut options =
        AgentOptions::default().with_gate_fn(|question| async move { panic!("asked about {question:?}") });
    options.limits.line_bytes_max = 10_000;
    let (agent, _events) = start(&launcher, options).await;
    let (open, close) = ("[".repeat(200), "]".repeat(200));
    let inputs =
        [("deep", format!("{open}{close}")), ("long", "1".repeat(10_000)), ("broken", "{".to_owned())];
    for (id, input) in &inputs {
        let request =
            format!(r#"{{"subtype":"can_use_tool","tool_name":"Bash","tool_use_id":"t","input":{input}}}"#);
        let line = format!(r#"{{"type":"control_request","request_id":"{id}","request":{request}}}"#);
        launcher.last_agent().say_bytes(format!("{line}\n").into_bytes());
    }
    let answer = |frames: &[Value], id: &str| {
        let of = |frame: &&Value| frame["response"]["request_id"] == id;
        frames.iter().find(of).map(|frame| frame["response"].clone())
    };
    for (id, _) in inputs {
        let scripted = launcher.last_agent();
        let answered = scripted.wait_for(|frames| answer(frames, id).is_some());
        timeout(Duration::from_secs(60), answered).await.unwrap();
        let answered = answer(&scripted.received(), id).unwrap();
        assert_eq!(answered["subtype"], "error", "{answered}");
        assert!(answered["error"].as_str().unwrap().contains("could not read"), "{answered}");
    }
    agent.close().await;
}
