//! Endpoints of people around the real CLI: they decide, they change, they are told, and they fail.

use crate::{
    client::Client,
    receiver::{Receiver, Reply},
    world::{MODES, World},
};
use serde_json::{Value, json};

const LOCAL: [(&str, &str); 2] = [("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true"), ("IS_SANDBOX", "1")];

/// Makes an endpoint that decides about Bash, and answers with its secret.
async fn decider(user: &Client, name: &str, receiver: &Receiver, more: Value) -> String {
    let mut hook = json!({
        "name": name, "url": receiver.url, "kind": "decision", "event_types": ["PreToolUse"],
        "tool_matcher": "Bash",
    });
    hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = user.post("/hooks", hook).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["secret"].as_str().unwrap().to_owned()
}

fn decision(fields: Value) -> Reply {
    let mut specific = json!({ "hookEventName": "PreToolUse" });
    specific.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Reply::Body(json!({ "hookSpecificOutput": specific }).to_string())
}

/// A prompt that has Bash run this.
fn bash(command: &str) -> String {
    format!("[[tool:Bash {}]][[next]][[text:I see]]", json!({ "command": command }))
}

async fn session(user: &Client, hooks: &[&str], mode: &str) -> String {
    user.session(json!({ "allowed_tools": ["Bash"], "hooks_enabled": hooks, "permission_mode": mode })).await
}

async fn has_file(user: &Client, session: &str, name: &str) -> bool {
    let files = user.get(&format!("{session}/files")).await.ok().to_string();
    files.contains(&format!("\"{name}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_denies_and_the_model_reads_why() {
    let world = World::with(&LOCAL).await;
    let user = world.admin().await;
    let receiver = Receiver::start(decision(json!({
        "permissionDecision": "deny", "permissionDecisionReason": "not on a Friday",
    })))
    .await;
    let secret = decider(&user, "calendar", &receiver, json!({})).await;
    let session = session(&user, &["calendar"], "default").await;

    let answer = user.query(&session, &bash("touch made")).await.ok();
    assert_eq!(answer["tool_calls"][0]["status"], "denied", "{answer}");
    assert!(!has_file(&user, &session, "made").await);
    let told = world.model.requests().last().unwrap().json().unwrap().to_string();
    assert!(told.contains("not on a Friday"), "the model was not told why: {told}");

    let [asked] = &receiver.received()[..] else { panic!("asked more than once") };
    assert!(asked.is_signed_with(&secret), "{asked:?}");
    let question = asked.json();
    assert_eq!(question["type"], "PreToolUse");
    assert_eq!(question["data"]["input"]["tool_input"]["command"], "touch made");
    assert!(session.ends_with(question["data"]["session_id"].as_str().unwrap()), "{question}");

    let runs = user.get(&format!("{session}/hooks?hook_type=PreToolUse")).await.ok();
    let run = runs.as_array().unwrap().iter().find(|run| run["hook_name"] == "calendar").unwrap();
    assert_eq!((&run["status"], &run["continue_execution"]), (&json!("blocked"), &json!(false)));
    assert_eq!(run["turn_id"], answer["turn_id"]);
    let names: Vec<_> =
        runs.as_array().unwrap().iter().map(|run| run["hook_name"].as_str().unwrap()).collect();
    assert!(!names.contains(&"permissions"), "nobody is asked after a no: {names:?}");
    let trail = user.get(&format!("{session}/audit-trail")).await.ok().to_string();
    assert!(trail.contains("hook_executed") && trail.contains("calendar"), "{trail}");
    assert!(user.get(&session).await.ok()["hook_execution_count"].as_u64().unwrap() >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_input_is_what_the_next_hook_sees_and_what_runs_in_every_mode() {
    let world = World::with(&LOCAL).await;
    let user = world.admin().await;
    let changer = Receiver::start(decision(json!({ "updatedInput": { "command": "touch safe" } }))).await;
    let witness = Receiver::start(Reply::Status(204)).await;
    decider(&user, "witness", &witness, json!({ "order": 2 })).await;
    decider(&user, "changer", &changer, json!({ "order": 1 })).await;
    for (nth, mode) in MODES.iter().enumerate() {
        let session = session(&user, &["witness", "changer"], mode).await;
        user.query(&session, &bash("touch dangerous")).await.ok();
        assert!(has_file(&user, &session, "safe").await, "{mode}");
        assert!(!has_file(&user, &session, "dangerous").await, "{mode}");
        let told = |receiver: &Receiver| {
            receiver.received()[nth].json()["data"]["input"]["tool_input"]["command"].clone()
        };
        assert_eq!(
            (told(&changer), told(&witness)),
            (json!("touch dangerous"), json!("touch safe")),
            "{mode}"
        );
        // The policies are the last that are asked, and judge what will run.
        let runs = user.get(&format!("{session}/hooks?hook_type=PreToolUse")).await.ok();
        let judged = runs.as_array().unwrap().iter().find(|run| run["hook_name"] == "permissions").unwrap();
        assert_eq!(judged["input_data"]["tool_input"]["command"], "touch safe", "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_endpoint_allows_in_a_persons_place_is_judged_too() {
    let world = World::with(&LOCAL).await;
    let user = world.admin().await;
    let house = r#"
@id("no-tags") @reason("releases are made by the release team")
forbid(principal, action == Action::"run_command", resource == Command::"git")
when { resource.line like "git tag*" };
"#;
    let made = user.post("/policies", json!({ "name": "house", "text": house })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let allowing = |command: &str| {
        let decision = json!({ "behavior": "allow", "updatedInput": { "command": command } });
        let specific = json!({ "hookEventName": "PermissionRequest", "decision": decision });
        Reply::Body(json!({ "hookSpecificOutput": specific }).to_string())
    };
    let receiver = Receiver::start(allowing("touch changed")).await;
    decider(&user, "yes", &receiver, json!({ "event_types": ["PermissionRequest"] })).await;
    let session = user.session(json!({ "hooks_enabled": ["yes"], "custom_policies": ["house"] })).await;

    user.query(&session, &bash("touch asked")).await.ok();
    assert!(has_file(&user, &session, "changed").await, "no policy minds, and nobody else is asked");
    receiver.reply_with(allowing("touch forbidden; git tag v1"));
    user.query(&session, &bash("touch asked")).await.ok();
    let told = world.model.requests().last().unwrap().json().unwrap().to_string();
    assert!(told.contains("releases are made by the release team"), "{told}");
    for name in ["asked", "forbidden"] {
        assert!(!has_file(&user, &session, name).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_endpoint_means_what_its_fail_mode_says_whatever_the_permission_mode() {
    let world = World::with(&LOCAL).await;
    let user = world.admin().await;
    let failing = Receiver::start(Reply::Status(500)).await;
    let hanging = Receiver::start(Reply::Never).await;
    let babbling = Receiver::start(Reply::Body(r#"{"hookSpecificOutput": 7}"#.to_owned())).await;
    let leading = Receiver::start(Reply::Redirect(failing.url.clone())).await;
    let broken =
        [("failing", &failing), ("hanging", &hanging), ("babbling", &babbling), ("leading", &leading)];
    for (name, receiver) in broken {
        for fail_mode in ["closed", "open"] {
            let more = json!({ "fail_mode": fail_mode, "timeout_ms": 500 });
            decider(&user, &format!("{name}-{fail_mode}"), receiver, more).await;
        }
        for mode in MODES {
            let closed = session(&user, &[&format!("{name}-closed")], mode).await;
            let answer = user.query(&closed, &bash("touch made")).await.ok();
            assert!(!has_file(&user, &closed, "made").await, "{name} {mode}: {answer}");
            let told = world.model.requests().last().unwrap().json().unwrap().to_string();
            assert!(told.contains(&format!("Denied: the hook {name}-closed")), "{name} {mode}: {told}");
        }
        let open = session(&user, &[&format!("{name}-open")], "default").await;
        user.query(&open, &bash("touch made")).await.ok();
        assert!(has_file(&user, &open, "made").await, "{name} open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_survives_the_death_of_the_server_and_a_dead_endpoint_delays_no_turn() {
    let mut world = World::with(&LOCAL).await;
    let user = world.admin().await;
    let receiver = Receiver::start(Reply::Never).await;
    let hook = json!({
        "name": "bell", "url": receiver.url, "kind": "notification", "event_types": ["Stop"],
        "timeout_ms": 30_000,
    });
    let made = user.post("/hooks", hook).await.ok();
    let hook = format!("/hooks/{}", made["id"].as_str().unwrap());
    let session = session(&user, &["bell"], "default").await;
    assert_eq!(user.ask(&session, "[[text:done]]").await, "done");
    // The turn is over, and the endpoint has not answered; it never will.
    let sent = receiver.until(1).await;
    let pending = user.get(&format!("{hook}/deliveries")).await.ok();
    assert_eq!((&pending[0]["status"], &pending[0]["attempts"]), (&json!("pending"), &json!(0)), "{pending}");
    assert_eq!(pending[0]["id"], sent[0].id());

    world.kill().await;
    receiver.reply_with(Reply::Status(204));
    world.launch().await;
    let user = world.admin().await;
    let again = receiver.until(2).await;
    assert_eq!(again[1].id(), again[0].id(), "the same message");
    assert_eq!(again[1].body, again[0].body);
    assert!(again[1].is_signed_with(made["secret"].as_str().unwrap()));
    assert_eq!(again[1].json()["type"], "Stop");
    let delivered = crate::world::eventually("it is delivered", async || {
        let deliveries = user.get(&format!("{hook}/deliveries")).await.ok();
        (deliveries[0]["status"] == "delivered").then_some(deliveries)
    })
    .await;
    assert_eq!(delivered.as_array().unwrap().len(), 1, "{delivered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_go_on_without_a_hook_it_names() {
    let world = World::with(&LOCAL).await;
    let user = world.admin().await;
    let refused = user.post("/sessions", json!({ "hooks_enabled": ["guard"] })).await;
    assert_eq!(refused.problem(422, "VALIDATION_FAILED")["errors"][0]["pointer"], "/hooks_enabled/0");

    let receiver = Receiver::start(Reply::Status(204)).await;
    decider(&user, "guard", &receiver, json!({})).await;
    let session = session(&user, &["guard"], "default").await;
    user.query(&session, &bash("touch made")).await.ok();
    assert!(has_file(&user, &session, "made").await);
    assert_eq!(receiver.received().len(), 1);

    let hooks = user.get("/hooks").await.ok();
    let hook = format!("/hooks/{}", hooks["items"][0]["id"].as_str().unwrap());
    assert_eq!(user.delete(&hook).await.status, 204);
    user.query(&session, &bash("touch more")).await.problem(503, "AGENT_UNAVAILABLE");
    assert!(!has_file(&user, &session, "more").await);
}
