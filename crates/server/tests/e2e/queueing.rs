//! More prompts than agents, and agents that are there before their prompt.

use crate::world::{World, eventually};
use serde_json::{Value, json};

async fn position(user: &crate::client::Client, turn: &str) -> Value {
    user.get(turn).await.ok()["queue_position"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_wait_for_an_agent_begin_in_their_order_also_after_a_kill() {
    let mut world = World::with(&[("MAX_CONCURRENT_INTERACTIVE_SESSIONS", "1")]).await;
    let user = world.admin().await;
    let mut turns = vec![];
    for text in ["[[words:2000]][[chunk_delay:40]]", "[[text:second]]", "[[text:third]]"] {
        let session = user.session(json!({})).await;
        turns.push(user.query_async(&session, text).await);
    }
    assert_eq!(position(&user, &turns[0]).await, Value::Null);
    assert_eq!(position(&user, &turns[1]).await, 1);
    assert_eq!(position(&user, &turns[2]).await, 2);

    world.kill().await;
    world.launch().await;
    let user = world.admin().await;
    let mut begun = vec![];
    for (turn, answer) in turns[1..].iter().zip(["second", "third"]) {
        let over = user.turn_over(turn).await;
        assert_eq!((&over["status"], &over["answer"]), (&json!("completed"), &json!(answer)), "{over}");
        begun.push(over["started_at"].as_str().unwrap().to_owned());
    }
    assert!(begun.is_sorted(), "{begun:?}");
    assert_eq!(user.get(&turns[0]).await.ok()["error_code"], "SERVER_STOPPED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_interrupts_is_what_the_model_hears_next() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let path = format!("{session}/query");
    let mut events = user.events(&session, 0).await;
    let slow = user.query_async(&session, "[[words:2000]][[chunk_delay:40]]").await;
    events.until("message_sent").await;
    let (queued, urgent) =
        tokio::join!(user.post(&path, json!({ "message": "[[text:queued]]", "if_busy": "queue" })), async {
            eventually("one waits", async || {
                let turns = user.get(&format!("{session}/turns")).await.ok().to_string();
                turns.contains("\"queued\"").then_some(())
            })
            .await;
            user.post(&path, json!({ "message": "[[text:urgent]]", "if_busy": "interrupt" })).await
        });
    assert_eq!(urgent.ok()["content"]["text"], "urgent");
    assert_eq!(queued.ok()["content"]["text"], "queued");
    assert_eq!(user.turn_over(&slow).await["status"], "interrupted");
    let messages = user.get(&format!("{session}/messages")).await.ok();
    let prompts = messages.as_array().unwrap().iter().filter(|message| {
        message["message_type"] == "user"
            && message["content"].as_str().is_some_and(|text| text.starts_with("[[text:"))
    });
    let prompts: Vec<_> = prompts.map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(prompts, ["[[text:urgent]]", "[[text:queued]]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_woken_answers_with_the_agent_that_was_started() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    user.ask(&session, "the word is heliotrope").await;
    user.post(&format!("{session}/pause"), json!({})).await.ok();
    eventually("nobody is left", async || world.agent_processes().is_empty().then_some(())).await;

    assert_eq!(user.post(&format!("{session}/resume"), json!({})).await.ok()["status"], "active");
    eventually("an agent is there", async || (!world.agent_processes().is_empty()).then_some(())).await;
    let woken: Vec<u32> = world.agent_processes().into_iter().map(|(pid, _)| pid).collect();
    let answer = user.ask(&session, "[[recall]]").await;
    assert!(answer.contains("heliotrope"), "{answer}");
    let alive: Vec<u32> = world.agent_processes().into_iter().map(|(pid, _)| pid).collect();
    assert!(woken.iter().any(|pid| alive.contains(pid)), "{woken:?} became {alive:?}");
    assert_eq!(user.post(&format!("{session}/wake"), json!({})).await.status, 202);
}
