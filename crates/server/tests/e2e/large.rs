//! Large things pass.

use crate::world::World;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_8_mb_prompt_and_a_20_mb_answer_pass() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "timeout_seconds": 600 })).await;
    let prompt = format!("{} [[text:read it all]]", "x".repeat(8_000_000));
    assert_eq!(user.ask(&session, &prompt).await, "read it all");
    let sent = world.model.requests().last().unwrap().body.len();
    assert!(sent > 8_000_000, "the model saw {sent} bytes");

    let session = user.session(json!({ "timeout_seconds": 600 })).await;
    let mut events = user.events(&session, 0).await;
    let answer = user.ask(&session, "[[big:20000000]]").await;
    assert_eq!(answer.len(), 20_000_000);
    let seen = events.until("result").await;
    assert_eq!(seen.last().unwrap().data["text"].as_str().unwrap().len(), 20_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused() {
    let world = World::with(&[("MAX_REQUEST_BODY_MB", "1")]).await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let answer = user.query(&session, &"x".repeat(1_100_000)).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}
