//! What an agent may do, with the real CLI: a no reaches the model as words, in every permission mode.

use crate::{
    client::Client,
    world::{MODES, World, eventually},
};
use serde_json::{Value, json};

/// A policy that minds nothing a session does here.
const PERMISSIVE: &str =
    r#"forbid(principal, action == Action::"run_command", resource == Command::"shutdown");"#;

/// A prompt whose model calls Bash once and then says something.
fn bash(command: &str) -> String {
    format!("go [[tool:Bash {}]][[next]][[text:went on]]", json!({ "command": command }))
}

/// What the model was told of its tool calls in its latest request.
fn told(world: &World) -> String {
    let requests = world.model.requests();
    let bodies = requests.iter().rev().filter_map(|request| request.json());
    let mut results = bodies.map(|body| tool_results(&body)).filter(|results| !results.is_empty());
    results.next().unwrap_or_default()
}

fn tool_results(body: &Value) -> String {
    let messages = body["messages"].as_array().into_iter().flatten();
    let blocks = messages.flat_map(|message| message["content"].as_array().into_iter().flatten());
    blocks.filter(|block| block["type"] == "tool_result").map(|block| block["content"].to_string()).collect()
}

async fn decisions(user: &Client, session: &str, filter: &str) -> Vec<Value> {
    user.get(&format!("{session}/permissions{filter}")).await.ok().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_reaches_the_model_as_words_in_every_mode() {
    let world = World::with(&[("IS_SANDBOX", "1")]).await;
    let user = world.admin().await;
    for mode in MODES {
        world.model.forget_requests();
        let session = user
            .session(json!({ "permission_mode": mode, "allowed_tools": ["Bash", "Read", "Write"] }))
            .await;
        let answer =
            user.query(&session, &bash("mkdir -p kept && rm --recursive -f kept; touch mark")).await.ok();
        assert_eq!(answer["content"]["text"], "went on", "{mode}: {answer}");
        let said = told(&world);
        assert!(said.contains("is blocked by the rule `rm -rf`"), "{mode}: {said}");
        let files = user.get(&format!("{session}/files")).await.ok().to_string();
        assert!(!files.contains("mark"), "{mode}: {files}");

        let made = decisions(&user, &session, "?decision=deny").await;
        assert_eq!(made.len(), 1, "{mode}: {made:?}");
        assert_eq!((&made[0]["policy"], &made[0]["rule"]), (&json!("commands"), &json!("rm -rf")), "{mode}");
        assert_eq!(made[0]["decided_by"], "policy");
        assert_eq!(made[0]["context"]["permission_mode"], mode);
        let calls = user.get(&format!("{session}/tool-calls")).await.ok();
        assert_eq!(made[0]["tool_use_id"], calls[0]["tool_use_id"], "{mode}");
        assert_eq!(user.get(&session).await.ok()["permission_check_count"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_others_and_the_restricted_are_out_of_reach() {
    let world = World::with(&[("IS_SANDBOX", "1")]).await;
    let user = world.admin().await;
    let session = user.session(json!({ "permission_mode": "bypassPermissions" })).await;
    let key = world.data_dir().join("secret_key").display().to_string();
    let outside = world.folder.path().join("outside").display().to_string();
    for (tool, input, reason) in [
        ("Read", json!({ "file_path": "/etc/passwd" }), "is restricted"),
        ("Read", json!({ "file_path": key }), "of the server"),
        ("Write", json!({ "file_path": outside, "content": "x" }), "outside the working directory"),
        ("Bash", json!({ "command": "ln -s /etc here && cat here/passwd" }), "is restricted"),
        ("Bash", json!({ "command": format!("echo x > {outside}") }), "outside the working directory"),
        ("Bash", json!({ "command": "curl -s http://169.254.169.254/" }), "credentials"),
        ("WebFetch", json!({ "url": "http://169.254.169.254/", "prompt": "x" }), "credentials"),
    ] {
        world.model.forget_requests();
        // The agent offers some tools only to models that look for them.
        let prompt = format!("go [[tool!:{tool} {input}]][[next]][[text:went on]]");
        assert_eq!(user.ask(&session, &prompt).await, "went on", "{tool} {input}");
        let said = told(&world);
        assert!(said.contains(reason), "{tool} {input}: {said}");
    }
    assert!(!world.folder.path().join("outside").exists());
    let events = user.get(&format!("{session}/audit-trail")).await.ok().to_string();
    assert!(events.contains("permission_decision"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everyday_work_goes_on_and_is_on_record() {
    let world = World::with(&[("IS_SANDBOX", "1")]).await;
    let user = world.admin().await;
    let session = user.session(json!({ "permission_mode": "bypassPermissions" })).await;
    let work = r#"git init -q . && git config user.email a@b.c && git config user.name a && echo x > f && git add f && git commit -qm "rm -rf is only mentioned" && git log --format=%s"#;
    assert_eq!(user.ask(&session, &bash(work)).await, "went on");
    assert!(told(&world).contains("rm -rf is only mentioned"), "{}", told(&world));
    let made = decisions(&user, &session, "").await;
    assert_eq!((made.len(), &made[0]["decision"]), (1, &json!("abstain")));
    assert_eq!(decisions(&user, &session, "?decision=deny").await, Vec::<Value>::new());
    assert_eq!(decisions(&user, &session, "?tool_name=Bash&limit=1").await.len(), 1);
    let stranger = world.stranger().get(&format!("{session}/permissions")).await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disallowed_tool_does_not_run_inside_another_shell() {
    let world = World::with(&[("IS_SANDBOX", "1")]).await;
    let user = world.admin().await;
    let options = json!({ "disallowed_tools": ["Bash(touch:*)"] });
    let session =
        user.session(json!({ "permission_mode": "bypassPermissions", "sdk_options": options })).await;
    assert_eq!(user.ask(&session, &bash("sh -c 'touch mark'")).await, "went on");
    assert!(told(&world).contains("not allowed in this session"), "{}", told(&world));
    eventually("it is on record", async || {
        let made = decisions(&user, &session, "?decision=deny").await;
        made.iter().any(|one| one["policy"] == "tools").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_without_the_store_of_policies_or_of_decisions_in_any_mode() {
    let world = World::with(&[("IS_SANDBOX", "1")]).await;
    let user = world.admin().await;
    for (table, reason) in [
        ("policies", "the custom policies could not be read"),
        ("permission_decisions", "could not be put on record"),
    ] {
        for mode in MODES {
            let session = user.session(json!({ "permission_mode": mode, "allowed_tools": ["Bash"] })).await;
            // The agent has passed its self-test, so it is the call that meets the loss.
            assert_eq!(user.ask(&session, "[[text:ready]]").await, "ready");
            // What is known of policies is read again after a change.
            let name = format!("{table}-{mode}").replace('_', "-").to_lowercase();
            user.post("/policies", json!({ "name": name, "text": PERMISSIVE })).await.ok();
            world.rename_table(table, "taken_away");
            let answer = user.query(&session, &bash("touch made")).await;
            let said = told(&world);
            world.rename_table("taken_away", table);
            assert_eq!(answer.ok()["content"]["text"], "went on", "{table} {mode}");
            assert!(said.contains(reason), "{table} {mode}: {said}");
            let files = user.get(&format!("{session}/files")).await.ok().to_string();
            assert!(!files.contains("made"), "{table} {mode}: {files}");

            assert_eq!(user.ask(&session, &bash("touch made")).await, "went on");
            let files = user.get(&format!("{session}/files")).await.ok().to_string();
            assert!(files.contains("made"), "{table} {mode}: it is back, and so is the work: {files}");
        }
    }
}
