//! Large prompts and large answers, every way they can go.

use crate::{events::Events, stream::Socket, world::World};
use serde_json::json;

/// A prompt of this size passes, and an answer of that.
const PROMPT_BYTES: usize = 8 << 20;
const ANSWER_BYTES: usize = 20 << 20;

#[actix_web::test]
async fn a_prompt_of_8_mb_passes() {
    let world = World::new().await;
    let session = world.session().await;
    let message = "y".repeat(PROMPT_BYTES);
    let path = format!("/api/v1/sessions/{session}/query");
    let answer = world.alice.post(&path, json!({"message": message})).await;
    assert_eq!(answer.json()["content"]["text"], format!("{PROMPT_BYTES} bytes"));

    let mut socket = Socket::open(&world, &world.alice, &session, "?after=1000").await;
    socket.say(json!({"type": "query", "message": message})).await;
    let path = format!("/api/v1/sessions/{session}/events?after=6");
    let mut events = Events::open(&world.alice, &path, &[]).await;
    let result = events.read_to_result().await.pop().unwrap();
    assert_eq!(result.data["text"], format!("{PROMPT_BYTES} bytes"));
}

#[actix_web::test]
async fn an_answer_of_20_mb_passes() {
    let world = World::new().await;
    let session = world.session().await;
    let mut socket = Socket::open(&world, &world.alice, &session, "").await;
    let path = format!("/api/v1/sessions/{session}");
    let message = format!("answer {ANSWER_BYTES}");
    let query = format!("{path}/query");
    let ask = world.alice.post(&query, json!({"message": message}));
    let (answer, heard) = futures::join!(ask, socket.hear_until("result"));
    assert_eq!(answer.json()["content"]["text"].as_str().unwrap().len(), ANSWER_BYTES);
    let over_socket = heard.last().unwrap();
    assert_eq!(over_socket["text"].as_str().unwrap().len(), ANSWER_BYTES);

    let mut events = Events::open(&world.alice, &format!("{path}/events"), &[]).await;
    let seen = events.read_to_result().await;
    assert_eq!(seen.last().unwrap().data["text"].as_str().unwrap().len(), ANSWER_BYTES);
}
