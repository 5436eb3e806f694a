//! Nobody is there: background sessions, and servers that end while somebody is asked.

use crate::{
    approvals::{answer, asked, file, runs, told},
    client::Client,
    world::{World, eventually},
};
use serde_json::{Value, json};

async fn background(user: &Client, prompt: &str, more: Value) -> String {
    let mut body = json!({ "mode": "background", "initial_message": prompt });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    user.session(body).await
}

async fn completed(user: &Client, session: &str) -> Value {
    eventually("the session is completed", async || {
        let shown = user.get(session).await.ok();
        (shown["status"] == "completed").then_some(shown)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_session_is_denied_what_nobody_can_be_asked_about() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = background(&user, &runs("touch a.txt"), json!({})).await;
    completed(&user, &session).await;
    assert!(!file(&user, &session, "a.txt").await.exists());
    assert!(told(&world).contains("nobody is there to approve"));
    assert_eq!(user.get(&format!("{session}/approvals")).await.ok(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_session_may_wait_for_a_person() {
    let world = World::with(&[("BACKGROUND_APPROVALS", "wait")]).await;
    let user = world.admin().await;
    let session = background(&user, &runs("touch a.txt"), json!({})).await;
    let approval = asked(&user, &session).await;
    answer(&user, &session, &approval, json!({ "decision": "allow" })).await.ok();
    completed(&user, &session).await;
    assert!(file(&user, &session, "a.txt").await.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_session_may_be_held_to_the_tools_it_was_given() {
    let world = World::with(&[("BACKGROUND_APPROVALS", "allowlist")]).await;
    let user = world.admin().await;
    let prompt = r#"go [[tool:Bash {"command":"touch a.txt"}]][[next]][[tool:Bash {"command":"mkdir b"}]][[next]]
        [[tool:Write {"file_path":"c.txt","content":"x"}]][[next]][[tool!:Glob {"pattern":"*"}]][[next]][[text:done]]"#;
    // A mode that lets files be written by itself does not help.
    let given = json!({ "allowed_tools": ["Bash(touch:*)"], "permission_mode": "acceptEdits" });
    let session = background(&user, prompt, given).await;
    completed(&user, &session).await;
    assert!(file(&user, &session, "a.txt").await.exists(), "this was named");
    for name in ["b", "c.txt"] {
        assert!(!file(&user, &session, name).await.exists(), "{name}");
    }
    let told = told(&world);
    assert!(told.contains("may only use the tools it was given; Write"), "{told}");
    assert_eq!(user.get(&format!("{session}/approvals")).await.ok(), json!([]));
}

/// A yes whose words make the stand-in for the model do what a model would: make the call again.
fn yes_and_again(command: &str) -> Value {
    json!({ "decision": "allow", "reason": runs(command) })
}

async fn idle_with(user: &Client, session: &str, name: &str) {
    let path = file(user, session, name).await;
    eventually("the call runs", async || path.exists().then_some(())).await;
    eventually("the session is done", async || {
        let shown = user.get(session).await.ok();
        (!["processing", "connecting", "waiting_user"].contains(&shown["status"].as_str().unwrap()))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_when_the_server_is_killed_is_answered_after_its_restart() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let turn = user.query_async(&session, &runs("touch late.txt")).await;
    let approval = asked(&user, &session).await;
    world.kill().await;
    world.launch().await;
    let user = world.admin().await;
    assert_eq!(user.get(&turn).await.ok()["status"], "interrupted");
    assert_eq!(asked(&user, &session).await["id"], approval["id"], "the question is still there");
    assert!(!file(&user, &session, "late.txt").await.exists());

    answer(&user, &session, &approval, yes_and_again("touch late.txt")).await.ok();
    idle_with(&user, &session, "late.txt").await;
    let approvals = user.get(&format!("{session}/approvals")).await.ok();
    assert_eq!(approvals.as_array().unwrap().len(), 1, "nobody was asked twice: {approvals}");
    let turns = user.get(&format!("{session}/turns")).await.ok();
    assert_eq!((turns.as_array().unwrap().len(), &turns[0]["status"]), (2, &json!("completed")), "{turns}");
    let messages = user.get(&format!("{session}/messages")).await.ok();
    let prompt =
        messages.as_array().unwrap().iter().find(|message| message["turn_id"] == turns[0]["id"]).unwrap();
    assert!(prompt["content"].to_string().contains("was approved"), "{prompt}");

    // The yes was for one call.
    user.query_async(&session, &runs("touch late.txt")).await;
    assert_ne!(asked(&user, &session).await["id"], approval["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_leaves_the_question_and_tells_of_a_no_later() {
    let mut world = World::with(&[("SHUTDOWN_GRACE_SECONDS", "600")]).await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let turn = user.query_async(&session, &runs("touch a.txt")).await;
    let approval = asked(&user, &session).await;
    // Returns long before the grace is over: no person is waited for.
    world.stop().await;
    world.launch().await;
    let user = world.admin().await;
    assert_eq!(user.get(&turn).await.ok()["error_code"], "SERVER_STOPPED");
    let no = json!({ "decision": "deny", "reason": "use mkdir" });
    answer(&user, &session, &approval, no).await.ok();
    assert_eq!(user.get(&format!("{session}/turns")).await.ok().as_array().unwrap().len(), 1);
    assert_eq!(user.ask(&session, "[[text:and now]]").await, "and now");
    assert!(told(&world).contains("use mkdir"), "the next turn is told");
    user.ask(&session, "[[text:once]]").await;
    let approvals = user.get(&format!("{session}/approvals")).await.ok();
    assert!(approvals[0]["delivered_at"].is_string(), "{approvals}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_session_that_waits_survives_its_server() {
    let mut world = World::with(&[("BACKGROUND_APPROVALS", "wait")]).await;
    let user = world.admin().await;
    let session = background(&user, &runs("touch a.txt"), json!({})).await;
    let approval = asked(&user, &session).await;
    world.kill().await;
    world.launch().await;
    let user = world.admin().await;
    assert_eq!(user.get(&session).await.ok()["status"], "active", "its work is not lost");
    answer(&user, &session, &approval, yes_and_again("touch a.txt")).await.ok();
    completed(&user, &session).await;
    assert!(file(&user, &session, "a.txt").await.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answers_expires_without_the_agent_that_asked() {
    let mut world = World::with(&[("APPROVAL_TIMEOUT_SECONDS", "2")]).await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    user.query_async(&session, &runs("touch a.txt")).await;
    asked(&user, &session).await;
    world.kill().await;
    world.launch().await;
    let user = world.admin().await;
    eventually("it is expired", async || {
        let approvals = user.get(&format!("{session}/approvals")).await.ok();
        (approvals[0]["status"] == "expired").then_some(())
    })
    .await;
    let trail = user.get(&format!("{session}/audit-trail?limit=1000")).await.ok();
    let decided = trail.as_array().unwrap().iter().find(|event| event["type"] == "approval_decided").unwrap();
    assert_eq!((&decided["status"], &decided["verdict"]), (&json!("expired"), &json!("deny")));
    assert_eq!(user.ask(&session, "[[text:next]]").await, "next");
    assert!(told(&world).contains("Nobody approved the call of Bash in time"));
}
