//! Order, matchers, time-outs, fail modes, and who hears of what.

use crate::{
    receiver::{Receiver, Reply},
    world::{TRIAL, World, answers, call, hook},
};
use domain::{CurrentTurn, HookEndpointKind, HookRunStatus, PageRequest, ports::HookDeliveries as _};
use hooks::{Always, HooksError, Origin, SessionHook, Switches};
use sdk_runtime::{HookEvent, HookOutput, OnFailure};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

fn specific(fields: Value) -> Value {
    let mut specific = json!({ "hookEventName": "PreToolUse" });
    specific.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({ "hookSpecificOutput": specific })
}

fn denied(output: &Value) -> &str {
    assert_eq!(output["hookSpecificOutput"]["permissionDecision"], "deny", "{output}");
    output["hookSpecificOutput"]["permissionDecisionReason"].as_str().unwrap()
}

/// A hook that notes what it was told as the tool's input.
fn witness(name: &str, order: i32) -> (SessionHook, Arc<Mutex<Vec<Value>>>) {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let noted = seen.clone();
    let hook = hook(name, order, move |input| {
        assert_eq!(input.raw["tool_input"], input.tool_input);
        noted.lock().unwrap().push(input.tool_input);
        async { Ok(HookOutput::proceed()) }
    });
    (hook, seen)
}

#[tokio::test]
async fn hooks_run_in_order_and_each_sees_what_those_before_it_changed() {
    let world = World::new(&[]).await;
    let (last, seen_last) = witness("last", 3);
    let (first, seen_first) = witness("first", 1);
    let change = answers("change", 2, specific(json!({ "updatedInput": { "command": "second" } })));
    let hooks = world.hooks(Switches::default(), vec![last, change, first]);
    let output = call(&world.registrations(&hooks).await, "PreToolUse", "Bash").await.unwrap();
    assert_eq!(output["hookSpecificOutput"]["updatedInput"], json!({ "command": "second" }));
    assert_eq!(*seen_first.lock().unwrap(), [json!({ "command": "first" })]);
    assert_eq!(*seen_last.lock().unwrap(), [json!({ "command": "second" })]);

    hooks.flush().await;
    let runs = world.runs().await;
    let names: Vec<&str> = runs.iter().map(|run| run.hook_name.as_str()).collect();
    assert_eq!(names, ["first", "change", "last"]);
    assert_eq!(runs[2].input["tool_input"], json!({ "command": "second" }));
    assert!(runs.iter().all(|run| run.continued && run.is_notable));
    assert_eq!(world.published.lock().unwrap().len(), 3, "watchers are told");
}

#[tokio::test]
async fn nobody_gets_behind_the_last_hook() {
    let world = World::new(&[]).await;
    let (verdict, seen) = witness("verdict", i32::MAX);
    let change = answers("change", i32::MAX, specific(json!({ "updatedInput": { "command": "second" } })));
    let hooks = world.hooks(Switches::default(), vec![change]);
    let manager =
        hooks.for_session(&world.session, &domain::CurrentTurn::default(), vec![verdict]).await.unwrap();
    call(&manager.into_registrations(), "PreToolUse", "Bash").await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [json!({ "command": "second" })], "it judges what runs");
}

#[tokio::test]
async fn what_an_answer_in_the_background_changes_is_neither_judged_nor_run() {
    let world = World::new(&[]).await;
    let (verdict, seen) = witness("verdict", i32::MAX);
    let mut change = specific(json!({ "updatedInput": { "command": "second" } }));
    change["async"] = true.into();
    change["continue"] = false.into();
    let hooks = world.hooks(Switches::default(), vec![answers("change", 0, change)]);
    let manager = hooks.for_session(&world.session, &CurrentTurn::default(), vec![verdict]).await.unwrap();
    let output = call(&manager.into_registrations(), "PreToolUse", "Bash").await.unwrap();
    assert_eq!(output, json!({}), "the agent runs what it had");
    assert_eq!(*seen.lock().unwrap(), [json!({ "command": "first" })], "and that was judged");
    hooks.flush().await;
    assert!(world.runs().await[0].continued);
}

#[tokio::test]
async fn a_trial_is_the_last_hooks_alone_and_leaves_no_trace() {
    let world = World::new(&[]).await;
    let receiver = Receiver::start(Reply::Status(204)).await;
    world.endpoint(&receiver.url, |endpoint| endpoint.is_global = true).await;
    let (bell, _) = world
        .endpoint(&receiver.url, |endpoint| {
            endpoint.name = "bell".to_owned();
            endpoint.kind = HookEndpointKind::Notification;
            endpoint.is_global = true;
        })
        .await;
    let (early, seen_early) = witness("early", 0);
    let hooks = world.hooks(Switches::default(), vec![early]);
    let no = specific(json!({ "permissionDecision": "deny", "permissionDecisionReason": "caught" }));
    let verdict = answers("verdict", i32::MAX, no);
    let manager = hooks.for_session(&world.session, &CurrentTurn::default(), vec![verdict]).await.unwrap();
    let registrations = manager.into_registrations();
    let traces = async || {
        hooks.flush().await;
        let runs = world.runs().await.into_iter().map(|run| run.hook_name).collect::<Vec<_>>();
        let told = world.store.deliveries(bell.id, &PageRequest::first(9)).await.unwrap().items.len();
        let noted = world.audit.0.lock().unwrap().len();
        let published = world.published.lock().unwrap().len();
        let called = receiver.received().len();
        (runs, seen_early.lock().unwrap().len(), [told, noted, published, called])
    };

    let answer = call(&registrations, "PreToolUse", TRIAL).await.unwrap();
    assert_eq!(denied(&answer), "caught");
    assert_eq!(traces().await, (vec![], 0, [0; 4]));

    let answer = call(&registrations, "PreToolUse", "Bash").await.unwrap();
    assert_eq!(denied(&answer), "caught");
    let (runs, seen, [told, noted, published, called]) = traces().await;
    for name in ["early", "endpoint", "verdict", "audit", "notification"] {
        assert!(runs.iter().any(|run| run == name), "{name}: {runs:?}");
    }
    assert_eq!((seen, told, noted, called), (1, 1, 1, 1));
    assert!(published > 0);
}

#[tokio::test]
async fn a_no_ends_the_chain_and_the_books_still_hear_of_it() {
    let world = World::new(&[]).await;
    let (after, seen) = witness("after", 2);
    let no = SessionHook {
        origin: Origin::BuiltIn,
        ..answers(
            "no",
            1,
            specific(json!({ "permissionDecision": "deny", "permissionDecisionReason": "no" })),
        )
    };
    let hooks = world.hooks(Switches::default(), vec![after, no]);
    let output = call(&world.registrations(&hooks).await, "PreToolUse", "Bash").await.unwrap();
    assert_eq!(denied(&output), "no");
    assert_eq!(*seen.lock().unwrap(), [] as [Value; 0]);
    hooks.flush().await;
    let runs = world.runs().await;
    let shown: Vec<_> = runs.iter().map(|run| (run.hook_name.as_str(), run.status, run.continued)).collect();
    assert_eq!(shown, [("no", HookRunStatus::Blocked, false), ("audit", HookRunStatus::Completed, true)]);
    let noted = world.audit.0.lock().unwrap().clone();
    assert_eq!((noted[0].action.as_str(), noted[0].hook_name.as_deref()), ("hook.blocked", Some("no")));
    assert_eq!(world.published.lock().unwrap().len(), 1, "of a quiet run nobody is told");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_errs_breaks_or_babbles_is_its_fail_mode() {
    let broken: Vec<(&str, SessionHook, HookRunStatus)> = vec![
        ("did not answer within 10s", hook("x", 0, |_| std::future::pending()), HookRunStatus::TimedOut),
        (
            "failed: out of paper",
            hook("x", 0, |_| async { Err("out of paper".into()) }),
            HookRunStatus::Failed,
        ),
        ("broke down", hook("x", 0, |_| async { panic!("on purpose") }), HookRunStatus::Failed),
        ("no object", answers("x", 0, json!("yes")), HookRunStatus::Failed),
        (
            "does not exist",
            answers("x", 0, specific(json!({ "permissionDecision": "maybe" }))),
            HookRunStatus::Failed,
        ),
        (
            "PreToolUse does not have",
            answers("x", 0, specific(json!({ "decision": { "behavior": "deny" } }))),
            HookRunStatus::Failed,
        ),
        (
            "another event",
            answers("x", 0, json!({ "hookSpecificOutput": { "hookEventName": "Stop" } })),
            HookRunStatus::Failed,
        ),
    ];
    for (words, broken, status) in broken {
        for on_failure in [OnFailure::Block, OnFailure::Continue] {
            let world = World::new(&[]).await;
            let (after, seen) = witness("after", 1);
            let hooks = world.hooks(
                Switches::default(),
                vec![SessionHook { on_failure, ..broken.clone() }, SessionHook { on_failure, ..after }],
            );
            let registrations = world.registrations(&hooks).await;
            let output = call(&registrations, "PreToolUse", "Bash").await.unwrap();
            match on_failure {
                OnFailure::Block => {
                    let reason = denied(&output);
                    assert!(reason.starts_with("Denied: the hook x") && reason.contains(words), "{reason}");
                    assert!(seen.lock().unwrap().is_empty());
                }
                OnFailure::Continue => {
                    assert_eq!(output, json!({}), "{words}");
                    assert_eq!(seen.lock().unwrap().len(), 1);
                }
            }
            hooks.flush().await;
            let run = world.runs().await.remove(0);
            assert_eq!((run.status, run.continued), (status, on_failure == OnFailure::Continue), "{words}");
            assert!(run.error.unwrap().contains(words));
            let registration = registrations.iter().find(|one| one.event == HookEvent::PreToolUse).unwrap();
            assert_eq!(registration.on_failure, on_failure, "the agent is told the same");
            assert!(
                registration.timeout > Duration::from_secs(20),
                "it waits longer than both hooks may take"
            );
        }
    }
}

#[tokio::test]
async fn where_nothing_can_be_refused_a_closed_failure_is_told_to_the_agent() {
    let world = World::new(&[]).await;
    let fails = hook("x", 0, |_| async { Err("out of paper".into()) });
    let hooks =
        world.hooks(Switches::default(), vec![SessionHook { event: HookEvent::PostToolUse, ..fails }]);
    let answered = call(&world.registrations(&hooks).await, "PostToolUse", "Bash").await;
    assert_eq!(answered, Err("the hook x failed: out of paper".to_owned()));
}

#[tokio::test]
async fn only_events_that_somebody_listens_to_are_registered() {
    let world = World::new(&["extra"]).await;
    let quiet = Switches { audit: false, metrics: false, ..Switches::default() };
    let of_stop = SessionHook { event: HookEvent::Stop, ..answers("stop", 0, json!({})) };
    let extra = SessionHook { always: Always::IfEnabled, ..answers("extra", 0, json!({})) };
    let other = SessionHook {
        always: Always::IfEnabled,
        event: HookEvent::Notification,
        ..answers("other", 0, json!({}))
    };
    let bash_only = SessionHook { matcher: Some("Bash".to_owned()), ..answers("bash", 0, json!({})) };
    let own = vec![of_stop, extra, other, bash_only];
    let hooks = world.hooks(quiet, own.clone());
    let registrations = world.registrations(&hooks).await;
    let events: Vec<&str> = registrations.iter().map(|one| one.event.as_str()).collect();
    assert_eq!(events, ["PreToolUse", "Stop"]);
    call(&registrations, "PreToolUse", "Read").await.unwrap();
    hooks.flush().await;
    let names: Vec<String> = world.runs().await.into_iter().map(|run| run.hook_name).collect();
    assert_eq!(names, ["extra"], "the matcher keeps the other away");

    let off = world.hooks(Switches { custom: false, ..quiet }, own);
    let refused = off.for_session(&world.session, &domain::CurrentTurn::default(), vec![]).await;
    assert!(matches!(refused, Err(HooksError::SwitchedOff(name)) if name == "extra"));
    let none = world.hooks(quiet, vec![]);
    let refused = none.for_session(&world.session, &domain::CurrentTurn::default(), vec![]).await;
    assert!(matches!(refused, Err(HooksError::Missing(name)) if name == "extra"));
}

#[tokio::test]
async fn tools_are_measured() {
    let world = World::new(&[]).await;
    let hooks = world.hooks(Switches::default(), vec![]);
    let registrations = world.registrations(&hooks).await;
    call(&registrations, "PostToolUse", "Bash").await.unwrap();
    let scraped = world.metrics.scrape().unwrap().text().unwrap();
    for line in [
        r#"steward_tool_executions_total{outcome="completed",tool="Bash"} 1"#,
        r#"steward_tool_duration_seconds_sum{tool="Bash"} 0.04"#,
    ] {
        assert!(scraped.contains(line), "{line} is not in\n{scraped}");
    }
    let [minute, ..] = world.metrics.performance().unwrap().of(monitoring::Activity::Tool);
    assert_eq!(minute.count, 1);
}
