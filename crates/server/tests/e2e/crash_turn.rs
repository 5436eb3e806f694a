//! A server killed at each step of a turn: the turn is closed once, nothing runs twice, and the conversation goes on.

use crate::{
    crash::{Crash, Kept, journalled, on_both},
    world::World,
};
use serde_json::json;

const RUN_ONCE: &str = r#"[[tool:Bash {"command":"echo ran >> ran.txt"}]][[next]][[text:it ran]]"#;

async fn a_turn_killed_at(kept: Kept, point: &str, runs: std::ops::RangeInclusive<usize>) {
    // The second time: the first turn is there to be remembered.
    let second = format!("{point}:2");
    // The first turn calls no tool.
    let place = if point == "turn.tool_called" { point } else { &second };
    let mut crash = Crash::at(kept, place).await;
    let user = crash.world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(&session, "remember the windmill").await;
    let turn = user.query_async(&session, RUN_ONCE).await;

    let user = crash.strike().await;
    let over = user.get(&turn).await.ok();
    assert_eq!((&over["status"], &over["error_code"]), (&json!("interrupted"), &json!("SERVER_STOPPED")));
    assert_eq!(user.get(&session).await.ok()["status"], "active");

    let answer = user.ask(&session, "[[recall]]").await;
    assert!(answer.contains("windmill"), "{answer}");
    crash.nothing_is_lost().await;
    let id = over["id"].as_str().unwrap();
    let results = journalled(&user, &session, "result").await;
    assert_eq!(results.iter().filter(|result| result["turn_id"] == id).count(), 1, "{results:?}");
    let ran = ran(&crash.world, &session);
    assert!(runs.contains(&ran), "its tool ran {ran} times");
}

/// How often the tool has run.
fn ran(world: &World, session: &str) -> usize {
    let file = world.workspace(session).join("ran.txt");
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

on_both! {
    a_server_killed_when_a_turn_had_begun => a_turn_killed_at("turn.began", 0..=0);
    a_server_killed_when_the_agent_had_the_prompt => a_turn_killed_at("turn.prompted", 0..=1);
    a_server_killed_when_a_tool_was_called => a_turn_killed_at("turn.tool_called", 0..=1);
    a_server_killed_when_only_the_end_was_not_recorded => a_turn_killed_at("turn.before_end", 1..=1);
}
