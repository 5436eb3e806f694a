//! What the README promises, in order.

use crate::{
    client::{Events, send},
    world::{REAL_KEY, World, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_answered_with_its_tool_calls_and_its_price() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "name": "first", "allowed_tools": ["Bash"] })).await;

    let prompt =
        r#"go [[text:on it]][[tool:Bash {"command":"echo hi > made; cat made"}]][[next]][[text:all done]]"#;
    let answer = user.query(&session, prompt).await.ok();
    assert_eq!(answer["status"], "completed");
    assert_eq!(answer["content"], json!({ "type": "text", "text": "all done" }));
    assert_eq!(answer["tool_calls"][0]["tool_name"], "Bash");
    assert_eq!(answer["tool_calls"][0]["status"], "completed");
    assert!(answer["metrics"]["input_tokens"].as_u64().unwrap() > 0, "{answer}");
    assert!(answer["metrics"]["cost_usd"].as_f64().unwrap() > 0.0, "{answer}");

    let messages = user.get(&format!("{session}/messages")).await.ok();
    let kinds: Vec<&str> =
        messages.as_array().unwrap().iter().map(|m| m["message_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["user", "assistant", "assistant", "user", "assistant"]);
    let numbers: Vec<u64> =
        messages.as_array().unwrap().iter().map(|m| m["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!(messages[4]["id"], answer["message_id"]);

    let calls = user.get(&format!("{session}/tool-calls")).await.ok();
    assert_eq!(calls[0]["tool_output"], "hi");
    let shown = user.get(&session).await.ok();
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["total_cost_usd"], answer["metrics"]["cost_usd"]);
    assert_eq!(shown["message_count"], 5);

    let files = user.get(&format!("{session}/files")).await.ok();
    assert!(files.to_string().contains("\"made\""), "{files}");
    let made = user.get(&format!("{session}/files/content?path=made")).await;
    assert_eq!(made.body, "hi\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_streams_while_it_is_written() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "include_partial_messages": true })).await;
    let request = user
        .request(Method::POST, &format!("{session}/query"))
        .json(&json!({ "message": "[[text:one two three four five six seven eight nine ten]]" }));
    let mut events = Events::open(request).await;
    let seen = events.until("result").await;
    let deltas: String = seen
        .iter()
        .filter(|seen| seen.event == "partial_message")
        .filter_map(|seen| seen.data["event"]["delta"]["text"].as_str())
        .collect();
    assert_eq!(deltas, "one two three four five six seven eight nine ten");
    assert!(seen.iter().filter(|seen| seen.event == "partial_message").all(|seen| seen.id.is_none()));
    assert_eq!(seen.last().unwrap().data["text"], deltas);
    assert!(events.next().await.is_none(), "the stream of one turn ends with its result");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_prompt_is_followed_by_its_turn() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let turn = user.query_async(&session, "[[text:later]]").await;
    let over = user.turn_over(&turn).await;
    assert_eq!(over["status"], "completed", "{over}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_remembers_across_a_restart_of_the_server() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    user.ask(&session, "my cat is called Turing").await;
    world.stop().await;
    assert!(world.agent_processes().is_empty(), "{:?}", world.agent_processes());

    world.launch().await;
    let user = world.admin().await;
    let answer = user.ask(&session, "what did I say? [[recall]]").await;
    assert!(answer.contains("my cat is called Turing"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_agent_is_closed_and_comes_back_with_its_memory() {
    let world = World::with(&[("SESSION_IDLE_TIMEOUT_MINUTES", "0.02")]).await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    user.ask(&session, "the word is heliotrope").await;
    eventually("the idle agent is gone", async || world.agent_processes().is_empty().then_some(())).await;
    let answer = user.ask(&session, "[[recall]]").await;
    assert!(answer.contains("heliotrope"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_never_holds_the_real_key_and_the_model_never_sees_its_token() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(
        &session,
        r#"[[tool:Bash {"command":"env > seen; cat /proc/*/environ >> seen 2>/dev/null; true"}]]"#,
    )
    .await;
    let seen = user.get(&format!("{session}/files/content?path=seen")).await;
    let own: String = seen.body.as_str().unwrap().lines().take_while(|line| !line.contains('\0')).collect();
    assert!(own.contains("ANTHROPIC_BASE_URL=http://127.0.0.1:"), "the tool did not see its environment");
    assert!(!own.contains(REAL_KEY), "the agent's environment holds the real key");
    let requests = world.model.requests();
    assert!(!requests.is_empty());
    for request in requests.iter().filter(|request| request.path.starts_with("/v1/messages")) {
        assert_eq!(request.credential.as_deref(), Some(REAL_KEY));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_nobody_allowed_is_denied_and_the_agent_is_told() {
    let world = World::with(&[("APPROVAL_TIMEOUT_SECONDS", "1")]).await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let prompt = r#"[[tool:Bash {"command":"touch forbidden"}]][[next]][[text:I see]]"#;
    let answer = user.query(&session, prompt).await.ok();
    assert_eq!(answer["tool_calls"][0]["status"], "denied");
    let told = world.model.requests().last().unwrap().json().unwrap().to_string();
    assert!(told.contains("Nobody approved"), "the agent was not told why: {told}");
    let files = user.get(&format!("{session}/files")).await.ok().to_string();
    assert!(!files.contains("forbidden"), "{files}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_a_session_ends_its_agent_and_removes_its_files_but_not_its_record() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    user.ask(&session, "[[text:hello]]").await;
    let folder = user.get(&session).await.ok()["working_directory"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&folder).exists());

    assert_eq!(user.delete(&session).await.status, 204);
    assert!(world.agent_processes().is_empty());
    assert!(!std::path::Path::new(&folder).exists());
    assert_eq!(user.get(&session).await.ok()["status"], "terminated");
    assert_eq!(user.get(&format!("{session}/messages")).await.ok().as_array().unwrap().len(), 2);
    user.query(&session, "more").await.problem(409, "WRONG_STATE");
    assert_eq!(user.delete(&session).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_ends_when_it_is_logged_out() {
    let world = World::start().await;
    let user = world.admin().await;
    let key = user.post("/auth/api-keys", json!({ "name": "ci", "scopes": ["read"] })).await.ok();
    assert_eq!(user.get("/auth/me").await.ok()["role"], "admin");
    assert_eq!(user.post("/auth/logout", Value::Null).await.status, 204);
    user.get("/auth/me").await.problem(401, "CREDENTIALS_REFUSED");

    let mut script = world.stranger();
    script.token = key["key"].as_str().map(str::to_owned);
    assert_eq!(script.get("/sessions").await.status, 200);
    script.post("/sessions", json!({})).await.problem(403, "READ_ONLY");
    let docs = send(script.request(Method::GET, "/docs")).await;
    assert!(docs.status < 400, "{docs:?}");
}
