//! Hooks, gates and persons that fail, against the scripted agent: every way of failing means no.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

use std::{ffi::OsStr, fmt, future::pending, os::unix::ffi::OsStrExt as _, time::Duration};

use sdk_runtime::{
    Agent, AgentOptions, Decision, DialogAnswer, Dialogs, ElicitationAnswer, Error, Event, HookEvent,
    HookOutput, HookRegistration, OnFailure, PermissionDestination, PermissionRule, PermissionUpdate,
    PromptContent, Settings, elicitor_fn,
    hook::{AnyHookDetails, PreToolUse, Reply},
    testing::ScriptedLauncher,
};
use serde_json::{Value, json};
use tokio::time::timeout;

/// What the host answers to one request of the agent.
async fn answer(options: AgentOptions, request: Value) -> Value {
    let launcher = ScriptedLauncher::new().on_prompt(move |_, say| {
        let request = request.clone();
        async move {
            let answer = say.ask(request).await;
            say.text(answer.to_string());
        }
    });
    let (agent, mut events) = Agent::start(&launcher, options).await.unwrap();
    agent.prompt(PromptContent::Text("go".to_owned())).await.unwrap();
    loop {
        match events.next().await.unwrap() {
            Event::Finished { result, .. } => return serde_json::from_str(&result.text.unwrap()).unwrap(),
            Event::Exited(said) => panic!("{said:?}"),
            _ => {}
        }
    }
}

async fn hooked(hook: HookRegistration, input: Value) -> Value {
    let request = json!({ "subtype": "hook_callback", "callback_id": "hook_0", "input": input });
    answer(AgentOptions::default().with_hook(hook), request).await
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_at_any_event_says_no_in_the_words_of_that_event() {
    for word in HookEvent::KNOWN.iter().filter(|word| **word != "SessionEnd") {
        let garbage =
            || async { Ok(HookOutput(json!({ "hookSpecificOutput": { "hookEventName": "Other" } }))) };
        let failing = [
            HookRegistration::raw(*word, |_| async { panic!("on purpose") }),
            HookRegistration::raw(*word, |_| async { Err("no store".into()) }),
            HookRegistration::raw(*word, |_| pending()),
            HookRegistration::raw(*word, move |_| garbage()),
        ];
        for hook in failing {
            let answer = hooked(hook, json!({ "hook_event_name": word })).await;
            let said_no = match *word {
                "PreToolUse" | "PreModelSwitch" => {
                    answer["hookSpecificOutput"]["permissionDecision"] == "deny"
                }
                "PermissionRequest" => answer["hookSpecificOutput"]["decision"]["behavior"] == "deny",
                "UserPromptSubmit" | "UserPromptExpansion" => answer["decision"] == "block",
                _ => answer["error"].is_string(),
            };
            assert!(said_no, "{word}: {answer}");
        }
        let lenient = HookRegistration::raw(*word, |_| pending()).with_on_failure(OnFailure::Continue);
        let answer = hooked(lenient, json!({ "hook_event_name": word })).await;
        assert!(answer["error"].is_string(), "{word}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn input_of_another_form_is_a_failure_and_unknown_fields_are_kept() {
    let hook = HookRegistration::pre_tool_use(|_| async { Ok(Reply::allow()) });
    let answer = hooked(hook, json!({ "hook_event_name": "PreToolUse", "tool_name": 7 })).await;
    assert_eq!(answer["hookSpecificOutput"]["permissionDecision"], "deny", "{answer}");
    let hook = HookRegistration::on(|call: PreToolUse| async move {
        assert_eq!((call.tool_name.as_str(), &call.other["brand_new"]), ("Bash", &json!([1])));
        assert_eq!(call.context.session_id, "s");
        Ok(Reply::allow_with_input(json!({ "a": 1 })).with_context("c").with_system_message("m"))
    });
    let input = json!({
        "hook_event_name": "PreToolUse", "session_id": "s", "tool_name": "Bash", "brand_new": [1],
    });
    let wanted = json!({ "systemMessage": "m", "hookSpecificOutput": {
        "hookEventName": "PreToolUse", "permissionDecision": "allow", "updatedInput": { "a": 1 },
        "additionalContext": "c",
    }});
    assert_eq!(hooked(hook, input).await, wanted);
    let tomorrow = HookRegistration::raw("Tomorrow", |input| async move {
        assert!(matches!(input.details(), AnyHookDetails::Other(raw) if raw["x"] == 1));
        Ok(HookOutput::proceed())
    });
    assert_eq!(hooked(tomorrow, json!({ "hook_event_name": "Tomorrow", "x": 1 })).await, json!({}));
}

#[tokio::test(start_paused = true)]
async fn an_answer_the_agent_would_not_take_is_a_no() {
    let ask = json!({ "subtype": "can_use_tool", "tool_name": "Bash", "input": {}, "tool_use_id": "t" });
    let no_object =
        AgentOptions::default().with_gate_fn(|_| async { Ok(Decision::allow().with_input(json!(1))) });
    let answered = answer(no_object, ask.clone()).await;
    assert_eq!(answered["behavior"], "deny", "{answered}");
    let update = PermissionUpdate::allow(vec![PermissionRule::tool("Bash")], PermissionDestination::Session);
    let too_many = AgentOptions::default().with_gate_fn(move |_| {
        let updates = vec![update.clone(); sdk_runtime::PERMISSION_UPDATES_MAX + 1];
        async { Ok(Decision::allow().with_updates(updates)) }
    });
    let answered = answer(too_many, ask.clone()).await;
    assert!(answered["message"].as_str().unwrap().contains("4096"), "{answered}");
    let unspeakable = AgentOptions::default().with_gate_fn(|_| async {
        Ok(Decision::allow().with_updates(vec![PermissionUpdate::AddDirectories {
            directories: vec![OsStr::from_bytes(b"/srv/\xff").into()],
            destination: PermissionDestination::Session,
        }]))
    });
    let answered = answer(unspeakable, ask).await;
    assert_eq!(answered["behavior"], "deny", "{answered}");
    assert!(answered["message"].as_str().unwrap().contains("cannot be written"), "{answered}");
}

/// An error whose words are not to be had.
#[derive(Debug)]
struct Speechless;

impl fmt::Display for Speechless {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("on purpose")
    }
}

impl std::error::Error for Speechless {}

/// Breaks down when it is given up.
struct Brittle;

impl Drop for Brittle {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_a_host_breaks_down_over_leaves_the_agent_without_an_answer() {
    let hook = HookRegistration::raw("PreToolUse", |_| async { Err(Speechless.into()) });
    let answered = hooked(hook, json!({ "hook_event_name": "PreToolUse" })).await;
    assert_eq!(answered["hookSpecificOutput"]["permissionDecision"], "deny", "{answered}");
    let mut options = AgentOptions::default().with_gate_fn(|_| async {
        let _brittle = Brittle;
        pending().await
    });
    options.limits.gate_timeout = Some(Duration::from_secs(5));
    let ask = json!({ "subtype": "can_use_tool", "tool_name": "Bash", "input": {}, "tool_use_id": "t" });
    let answered = timeout(Duration::from_secs(60), answer(options, ask)).await.unwrap();
    assert!(answered["error"].is_string(), "{answered}");
}

#[tokio::test(start_paused = true)]
async fn persons_answer_decline_or_are_taken_as_gone() {
    let ask = json!({ "subtype": "elicitation", "mcp_server_name": "s", "message": "m", "mode": "form" });
    let accept = elicitor_fn(|question| async move {
        Ok(ElicitationAnswer::accept([("said".to_owned(), question.message.into())]))
    });
    let table = [
        (Some(accept), json!({ "action": "accept", "content": { "said": "m" } })),
        (Some(elicitor_fn(|_| async { Ok(ElicitationAnswer::Decline) })), json!({ "action": "decline" })),
        (Some(elicitor_fn(|_| async { Err("away".into()) })), json!({ "action": "cancel" })),
        (Some(elicitor_fn(|_| async { panic!("on purpose") })), json!({ "action": "cancel" })),
        (Some(elicitor_fn(|_| pending())), json!({ "action": "cancel" })),
        (None, json!({ "action": "decline" })),
    ];
    for (elicitor, wanted) in table {
        let mut options = AgentOptions::default().with_elicitor(elicitor);
        options.limits.gate_timeout = Some(Duration::from_secs(5));
        assert_eq!(answer(options, ask.clone()).await, wanted);
    }
    let show =
        |kind: &str| json!({ "subtype": "request_user_dialog", "dialog_kind": kind, "payload": { "p": 1 } });
    let host =
        Dialogs::from_fn(["known"], |dialog| async move { Ok(DialogAnswer::Completed(dialog.payload)) });
    let options = AgentOptions::default().with_dialogs(host);
    let completed = json!({ "behavior": "completed", "result": { "p": 1 } });
    assert_eq!(answer(options.clone(), show("known")).await, completed);
    assert_eq!(answer(options, show("other")).await, json!({ "behavior": "cancelled" }));
    let broken = Dialogs::from_fn(["known"], |_| async { Err("no screen".into()) });
    let options = AgentOptions::default().with_dialogs(broken);
    assert_eq!(answer(options, show("known")).await, json!({ "behavior": "cancelled" }));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_confirm_its_settings_is_ended() {
    let options = || AgentOptions::default().with_settings(Settings::Inline(json!({})));
    let launcher = ScriptedLauncher::new();
    let error = Agent::start(&launcher, options()).await.map(drop).unwrap_err();
    assert!(matches!(error, Error::NotApplied { field: "settings" }), "{error:?}");
    assert!(launcher.alive().is_empty());
    let launcher = ScriptedLauncher::new().with_initialize("settings_applied", json!(true));
    Agent::start(&launcher, options()).await.unwrap();
    let launcher = ScriptedLauncher::new();
    let error =
        Agent::start(&launcher, AgentOptions::default().with_max_turns(0)).await.map(drop).unwrap_err();
    assert!(matches!(error, Error::InvalidOption { field: "max_turns", .. }), "{error:?}");
    assert!(launcher.agents().is_empty(), "nothing was started");
}
