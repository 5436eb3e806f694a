//! Bad luck: agents and servers that are killed, and what is left afterwards.

use crate::world::{World, eventually, signal};
use serde_json::json;
use std::{os::unix::process::ExitStatusExt, thread::available_parallelism, time::Duration};

/// A turn that sits in a tool until somebody ends it.
const STUCK: &str = r#"[[text:starting]][[tool:Bash {"command":"tail -f /dev/null","timeout":600000}]]"#;

async fn stuck_in_a_tool(world: &World) {
    eventually("the tool runs", async || {
        world.agent_processes().iter().any(|(_, command)| command.starts_with("tail -f")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_in_the_middle_fails_its_turn_and_the_next_prompt_works() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(&session, "remember the lighthouse").await;
    let turn = user.query_async(&session, STUCK).await;
    stuck_in_a_tool(&world).await;
    let (pid, _) = world
        .agent_processes()
        .into_iter()
        .find(|(_, command)| command.contains("stream-json"))
        .expect("the agent runs");
    signal(pid, "KILL");

    let over = user.turn_over(&turn).await;
    assert_eq!(over["status"], "failed", "{over}");
    assert_eq!(over["error_code"], "AGENT_FAILED", "{over}");
    assert!(over["metrics"]["input_tokens"].as_u64().unwrap() > 0, "its usage is on record: {over}");
    eventually("its tool is gone too", async || world.agent_processes().is_empty().then_some(())).await;
    let calls = user.get(&format!("{session}/tool-calls")).await.ok();
    assert_eq!(calls[0]["status"], "interrupted");

    let answer = user.ask(&session, "[[recall]]").await;
    assert!(answer.contains("lighthouse"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_an_agent_that_is_killed_is_a_502() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    let killer = async {
        stuck_in_a_tool(&world).await;
        for (pid, _) in
            world.agent_processes().into_iter().filter(|(_, command)| command.contains("stream-json"))
        {
            signal(pid, "KILL");
        }
    };
    let (answer, ()) = tokio::join!(user.query(&session, STUCK), killer);
    let problem = answer.problem(502, "AGENT_FAILED");
    assert!(problem["turn_id"].is_string(), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_takes_up_where_it_was() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(&session, "remember the windmill").await;
    let mut events = user.events(&session, 0).await;
    let turn = user.query_async(&session, STUCK).await;
    stuck_in_a_tool(&world).await;
    let before = events.until("tool_call_started").await;
    let messages_before = user.get(&format!("{session}/messages")).await.ok();

    world.kill().await;
    world.launch().await;
    assert!(world.agent_processes().is_empty(), "{:?}", world.agent_processes());

    let user = world.admin().await;
    let over = user.get(&turn).await.ok();
    assert_eq!(over["status"], "interrupted", "{over}");
    assert_eq!(over["error_code"], "SERVER_STOPPED");
    assert_eq!(user.get(&session).await.ok()["status"], "active");
    assert_eq!(
        user.get(&format!("{session}/messages")).await.ok(),
        messages_before,
        "nothing recorded is lost"
    );

    let last = before.last().unwrap().id.unwrap();
    let mut events = user.events(&session, last).await;
    let after = events.until("result").await;
    assert_eq!(after.first().unwrap().id, Some(last + 1), "the journal goes on where it was");
    assert_eq!(after.last().unwrap().data["status"], "interrupted");

    let answer = user.ask(&session, "[[recall]]").await;
    assert!(answer.contains("windmill"), "{answer}");
}

/// It takes a minute, in which nothing is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_ends_itself_and_the_next_one_goes_on() {
    let mut world = World::with(&[("FAILPOINTS", "turn.prompted=pause")]).await;
    let user = world.admin().await;
    let (mut session, mut turn) = (String::new(), String::new());
    // Each turn keeps one of its threads.
    for _ in 0..available_parallelism().unwrap().get().div_ceil(2) {
        session = user.session(json!({})).await;
        turn = user.query_async(&session, "hello").await;
    }
    let status = world.ended_alone(Duration::from_secs(120)).await;
    assert_eq!(status.signal(), Some(nix::libc::SIGABRT), "{status}");
    assert!(world.log().contains("this server hangs"), "{}", world.log());

    world.unset("FAILPOINTS");
    world.launch().await;
    assert!(world.agent_processes().is_empty(), "{:?}", world.agent_processes());
    let user = world.admin().await;
    let over = user.get(&turn).await.ok();
    assert_eq!((&over["status"], &over["error_code"]), (&json!("interrupted"), &json!("SERVER_STOPPED")));
    assert_eq!(user.ask(&session, "[[text:back again]]").await, "back again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_during_the_first_turn_can_go_on_with_that_session() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.query_async(&session, STUCK).await;
    stuck_in_a_tool(&world).await;
    world.kill().await;
    world.launch().await;
    let user = world.admin().await;
    assert_eq!(user.ask(&session, "[[text:still here]]").await, "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_end_with_a_killed_server_even_if_it_never_comes_back() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.query_async(&session, STUCK).await;
    stuck_in_a_tool(&world).await;
    world.kill().await;
    eventually("agent and tool are gone", async || world.agent_processes().is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_can_be_interrupted_and_its_agent_goes_on() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    let turn = user.query_async(&session, STUCK).await;
    stuck_in_a_tool(&world).await;
    let agents = world.agent_processes().len();
    let shown = user.post(&format!("{session}/interrupt"), json!({})).await.ok();
    assert_eq!(shown["status"], "active");
    assert_eq!(user.get(&turn).await.ok()["status"], "interrupted");
    eventually("the tool is gone", async || (world.agent_processes().len() < agents).then_some(())).await;
    assert_eq!(user.ask(&session, "[[text:next]]").await, "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_takes_too_long_is_a_504() {
    let world = World::start().await;
    let user = world.admin().await;
    // The CLI is tried before the first turn of all, which would be part of its time.
    user.ask(&user.session(json!({})).await, "[[text:warm]]").await;
    let session = user.session(json!({ "timeout_seconds": 3 })).await;
    user.query(&session, "[[endless]]").await.problem(504, "AGENT_TIMEOUT");
    assert_eq!(user.ask(&session, "[[text:again]]").await, "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overloaded_model_is_retried_as_often_as_the_session_says() {
    let world = World::start().await;
    let user = world.admin().await;
    let patient = user.session(json!({ "max_retries": 1 })).await;
    assert_eq!(user.ask(&patient, "[[error:529 times=1]][[text:got through]]").await, "got through");
    assert_eq!(user.get(&patient).await.ok()["retry_count"], 1);

    let hasty = user.session(json!({ "max_retries": 0 })).await;
    let requests = world.model.requests().len();
    user.query(&hasty, "[[error:529]]").await.problem(502, "MODEL_FAILED");
    assert_eq!(world.model.requests().len(), requests + 1, "not retried at all");

    let refused = user.session(json!({ "max_retries": 3 })).await;
    let requests = world.model.requests().len();
    user.query(&refused, "[[error:403]]").await.problem(502, "MODEL_FAILED");
    assert_eq!(world.model.requests().len(), requests + 1, "what may not be retried is not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_told_to_end_lets_the_turn_finish() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    user.ask(&session, "warm up").await;
    let turn = user.query_async(&session, "[[words:40]][[chunk_delay:50]]").await;
    world.stop().await;
    world.launch().await;
    let user = world.admin().await;
    assert_eq!(user.get(&turn).await.ok()["status"], "completed");
}
