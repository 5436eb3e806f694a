//! What a hook allows where somebody would be asked is judged as any call is.

use crate::world::{World, answers, call, hook};
use domain::{CurrentTurn, HookRunStatus};
use hooks::{SessionHook, Switches};
use sdk_runtime::{HookEvent, HookOutput};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

fn decision(decision: Value) -> Value {
    json!({ "hookSpecificOutput": { "hookEventName": "PermissionRequest", "decision": decision } })
}

/// A hook that answers a permission request so.
fn decides(name: &str, answer: Value) -> SessionHook {
    SessionHook { event: HookEvent::PermissionRequest, ..answers(name, 0, decision(answer)) }
}

/// What the agent gets, and what the verdict was asked about.
async fn request(world: &World, own: Vec<SessionHook>, says: HookOutput) -> (Value, Vec<Value>) {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let noted = seen.clone();
    let verdict = hook("verdict", i32::MAX, move |input| {
        assert_eq!(
            (input.event.as_str(), &input.raw["hook_event_name"]),
            ("PreToolUse", &json!("PreToolUse"))
        );
        noted.lock().unwrap().push(input.tool_input);
        let says = says.clone();
        async move { Ok(says) }
    });
    let hooks = world.hooks(Switches::default(), own);
    let manager = hooks.for_session(&world.session, &CurrentTurn::default(), vec![verdict]).await.unwrap();
    let output = call(&manager.into_registrations(), "PermissionRequest", "Bash").await.unwrap();
    hooks.flush().await;
    let seen = seen.lock().unwrap().clone();
    (output, seen)
}

#[tokio::test]
async fn a_yes_is_held_to_what_the_policies_say_of_what_would_run() {
    let changed = json!({ "command": "second" });
    let yes = json!({
        "behavior": "allow", "updatedInput": changed,
        "updatedPermissions": [{ "type": "setMode", "mode": "bypassPermissions", "destination": "session" }],
    });
    let kept = decision(json!({ "behavior": "allow", "updatedInput": changed }));
    let no = decision(json!({ "behavior": "deny", "message": "not here" }));
    for (says, answer) in [
        (HookOutput::proceed(), &kept),
        (HookOutput::allow_tool(), &kept),
        (HookOutput::ask_gate("who knows"), &json!({})),
        (HookOutput::deny_tool("not here"), &no),
    ] {
        let world = World::new(&[]).await;
        let (output, judged) = request(&world, vec![decides("yes", yes.clone())], says.clone()).await;
        assert_eq!(&output, answer, "{says:?}");
        assert_eq!(judged, std::slice::from_ref(&changed), "{says:?}");
        let runs = world.runs().await;
        let run = runs.iter().find(|run| run.hook_name == "verdict").unwrap();
        assert_eq!(
            (run.hook_type.as_str(), run.status == HookRunStatus::Blocked),
            ("PermissionRequest", *answer == no)
        );
    }
}

#[tokio::test]
async fn what_one_hook_changed_runs_although_the_next_one_only_says_yes() {
    let world = World::new(&[]).await;
    let changed = json!({ "command": "second" });
    let own = vec![
        decides("change", json!({ "behavior": "allow", "updatedInput": changed })),
        decides("yes", json!({ "behavior": "allow" })),
    ];
    let (output, judged) = request(&world, own, HookOutput::proceed()).await;
    assert_eq!(output, decision(json!({ "behavior": "allow", "updatedInput": changed })));
    assert_eq!(judged, [changed]);
}

#[tokio::test]
async fn only_a_yes_is_judged_and_without_a_judge_there_is_none() {
    let world = World::new(&[]).await;
    let no = json!({ "behavior": "deny", "message": "never" });
    let (output, judged) = request(&world, vec![decides("no", no.clone())], HookOutput::proceed()).await;
    assert_eq!((output, judged), (decision(no), vec![]));
    let silent = SessionHook { event: HookEvent::PermissionRequest, ..answers("silent", 0, json!({})) };
    assert_eq!(request(&world, vec![silent], HookOutput::deny_tool("no")).await, (json!({}), vec![]));

    let hooks = world.hooks(Switches::default(), vec![decides("yes", json!({ "behavior": "allow" }))]);
    let output = call(&world.registrations(&hooks).await, "PermissionRequest", "Bash").await.unwrap();
    assert_eq!(output, json!({}), "somebody is asked");
}

#[tokio::test]
async fn a_judge_that_fails_is_a_no() {
    let world = World::new(&[]).await;
    let hooks = world.hooks(Switches::default(), vec![decides("yes", json!({ "behavior": "allow" }))]);
    let broken = hook("verdict", i32::MAX, |_| async { Err("out of paper".into()) });
    let manager = hooks.for_session(&world.session, &CurrentTurn::default(), vec![broken]).await.unwrap();
    let output = call(&manager.into_registrations(), "PermissionRequest", "Bash").await.unwrap();
    let message = "Denied: the hook verdict failed: out of paper.";
    assert_eq!(output, decision(json!({ "behavior": "deny", "message": message })));
}
