//! Typed hooks in front of the real CLI: what is told arrives, what is answered holds.

use std::{
    collections::BTreeMap,
    fs,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use sdk_runtime::{
    HookEvent, HookOutput, HookRegistration, OnFailure,
    hook::{AnyHookDetails, PostToolUse, PreToolUse, Reply, Stop, UserPromptSubmit},
};
use serde_json::json;

use crate::bench::{Bench, result_of, say, tool_results};

const TOUCH: &str = r#"go [[tool:Bash {"command":"touch a.txt"}]][[next]][[text:done]]"#;

#[tokio::test]
async fn a_pre_tool_use_hook_that_fails_in_any_way_keeps_the_tool_from_running() {
    let garbage = || async { Ok(HookOutput(json!({ "hookSpecificOutput": "garbage" }))) };
    let hooks = [
        ("broke down", HookRegistration::pre_tool_use(|_| async { panic!("on purpose") })),
        ("failed: no policy", HookRegistration::pre_tool_use(|_| async { Err("no policy".into()) })),
        (
            "did not answer within 300ms",
            HookRegistration::pre_tool_use(|_| pending()).with_timeout(Duration::from_millis(300)),
        ),
        ("no object", HookRegistration::raw("PreToolUse", move |_| garbage())),
    ];
    let bench = Bench::new().await;
    for (words, hook) in hooks {
        let options = bench
            .options()
            .with_allowed_tools(vec!["Bash".to_owned()])
            // An allow of another hook changes nothing.
            .with_hook(HookRegistration::pre_tool_use(|_| async { Ok(Reply::allow()) }))
            .with_hook(hook);
        let (agent, mut events) = bench.start(options).await;
        let id = say(&agent, TOUCH).await;
        let told = tool_results(&mut events, id).await.concat();
        assert!(told.contains(words), "{words}: {told}");
        assert!(!bench.path("work/a.txt").exists(), "{words}");
        agent.close().await;
    }
}

#[tokio::test]
async fn replies_do_what_their_names_say() {
    let bench = Bench::new().await;
    let changed = |call: PreToolUse| async move {
        let command = call.tool_input["command"].as_str().unwrap_or_default().replace("a.txt", "b.txt");
        Ok(Reply::allow_with_input(json!({ "command": command })).with_context("the name was changed"))
    };
    let stops = Arc::new(Mutex::new(0));
    let once_more = {
        let stops = Arc::clone(&stops);
        move |stop: Stop| {
            *stops.lock().unwrap() += 1;
            async move {
                Ok(if stop.stop_hook_active {
                    Reply::proceed()
                } else {
                    Reply::keep_going("once more [[text:again]]")
                })
            }
        }
    };
    let hidden = |call: PostToolUse| async move {
        let mut output = call.tool_response;
        output["stdout"] = "REDACTED".into();
        Ok(Reply::proceed().with_output(output))
    };
    let options = bench
        .options()
        .with_hook(HookRegistration::on(|prompt: UserPromptSubmit| async move {
            Ok(if prompt.prompt.contains("secret") {
                Reply::block("no secrets")
            } else {
                Reply::proceed().with_context("context of the hook").with_session_title("hooked")
            })
        }))
        .with_hook(HookRegistration::on(changed).with_matcher("Bash"))
        .with_hook(HookRegistration::on(hidden))
        .with_hook(HookRegistration::on(once_more));
    let (agent, mut events) = bench.start(options).await;
    let blocked = say(&agent, "a secret").await;
    assert_eq!(result_of(&mut events, blocked).await.num_turns, 0);
    let id =
        say(&agent, r#"go [[tool:Bash {"command":"touch a.txt; echo token"}]][[next]][[text:done]]"#).await;
    let told = tool_results(&mut events, id).await.concat();
    assert!(told.contains("REDACTED") && !told.contains("token"), "{told}");
    assert!(bench.path("work/b.txt").exists() && !bench.path("work/a.txt").exists());
    assert_eq!(*stops.lock().unwrap(), 2);
    let asked = bench.model.requests().into_iter().filter_map(|request| request.json());
    let asked: String = asked.map(|body| body.to_string()).collect();
    assert!(asked.contains("context of the hook") && asked.contains("the name was changed"));
    agent.close().await;
}

#[tokio::test]
async fn stopping_at_pre_tool_use_comes_after_the_tool_and_a_defer_before_it() {
    let bench = Bench::new().await;
    for (stop, ran, outcome) in
        [(true, true, sdk_runtime::Outcome::HookStopped), (false, false, sdk_runtime::Outcome::ToolDeferred)]
    {
        let hook = move |_: PreToolUse| async move {
            let stopped = Reply::allow().with_turn_stopped_after_the_tool("enough");
            Ok(if stop { stopped } else { Reply::defer() })
        };
        let _ = fs::remove_file(bench.path("work/a.txt"));
        let (agent, mut events) = bench.start(bench.options().with_hook(HookRegistration::on(hook))).await;
        let id = say(&agent, TOUCH).await;
        assert_eq!(result_of(&mut events, id).await.outcome(), outcome);
        assert_eq!(bench.path("work/a.txt").exists(), ran);
        agent.close().await;
    }
}

#[tokio::test]
async fn every_event_that_happens_is_told_with_its_type() {
    let bench = Bench::new().await;
    fs::write(bench.path("work/CLAUDE.md"), "Be kind.\n").unwrap();
    let seen: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let mut options = bench
        .options()
        .with_setting_sources(vec![sdk_runtime::SettingSource::Project])
        .with_gate_fn(|_| async { Ok(sdk_runtime::Decision::deny("not now")) });
    for word in HookEvent::KNOWN.iter().filter(|word| **word != "SessionEnd") {
        let seen = Arc::clone(&seen);
        let hook = HookRegistration::raw(*word, move |input| {
            let is_typed = !matches!(input.details(), AnyHookDetails::Other(_));
            assert!(is_typed, "{} has another form: {}", input.event, input.raw);
            *seen.lock().unwrap().entry(input.event.to_string()).or_default() += 1;
            async { Ok(HookOutput::proceed()) }
        });
        options = options.with_hook(hook.with_on_failure(OnFailure::Continue));
    }
    let (agent, mut events) = bench.start(options).await;
    let prompt = r#"go [[tool:Bash {"command":"touch a.txt"}]][[next]][[tool:Bash {"command":"ls"}]][[next]]
        [[tool:Read {"file_path":"MISSING"}]][[next]]
        [[tool!:Agent {"description":"d","prompt":"p [[text:sub]]","subagent_type":"general-purpose","run_in_background":false}]][[next]][[text:done]]"#;
    let missing = bench.path("work/missing.txt").to_string_lossy().into_owned();
    let id = say(&agent, &prompt.replace("MISSING", &missing)).await;
    result_of(&mut events, id).await;
    agent.set_model(Some("claude-sonnet-5")).await.unwrap();
    let id = say(&agent, "/compact").await;
    result_of(&mut events, id).await;
    let seen: Vec<_> = seen.lock().unwrap().keys().cloned().collect();
    for event in [
        "MessageDisplay",
        "PermissionRequest",
        "PostModelSwitch",
        "PostToolBatch",
        "PostToolUse",
        "PostToolUseFailure",
        "PreModelSwitch",
        "PreToolUse",
        "Stop",
        "SubagentStart",
        "SubagentStop",
        "UserPromptSubmit",
        "PreCompact",
        "PostCompact",
        "SessionStart",
    ] {
        assert!(seen.iter().any(|seen| seen == event), "{event} did not come: {seen:?}");
    }
    agent.close().await;
}
