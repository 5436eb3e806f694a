//! Prompts, and the three ways they are answered.

use crate::{
    events::Events,
    world::{Plan, World},
};
use insta::assert_snapshot;
use serde_json::json;

fn query(session: &str) -> String {
    format!("/api/v1/sessions/{session}/query")
}

#[actix_web::test]
async fn a_waiting_query_is_answered_with_the_outcome() {
    let world = World::new().await;
    let session = world.session().await;
    let answer = world.alice.post(&query(&session), json!({"message": "tool"})).await;
    assert_snapshot!("query", answer.shown());
    let turn = answer.json()["turn_id"].as_str().unwrap().to_owned();
    let turn = world.alice.get(&format!("/api/v1/sessions/{session}/turns/{turn}")).await;
    assert_snapshot!("turn", turn.shown());
}

#[actix_web::test]
async fn a_prompt_may_be_blocks() {
    let world = World::new().await;
    let session = world.session().await;
    let blocks = json!([
        {"type": "text", "text": "hello"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
    ]);
    let answer = world.alice.post(&query(&session), json!({"message": blocks})).await;
    assert_eq!(answer.json()["content"]["text"], "hello there", "{}", answer.text());
    let told = world.launcher.last_agent().prompts();
    assert_eq!(told[0]["message"]["content"], blocks, "the agent got what the client sent");
}

#[actix_web::test]
async fn a_query_may_be_answered_at_once() {
    let world = World::new().await;
    let session = world.session().await;
    let body = json!({"message": "hello"});
    let receipt = world.alice.post_with(&query(&session), body, &[("prefer", "respond-async")]).await;
    assert_snapshot!("receipt", receipt.shown());
    let links = &receipt.json()["links"];
    assert_eq!(world.alice.get(links["self"].as_str().unwrap()).await.status, 200);
    let mut events = Events::open(&world.alice, links["events"].as_str().unwrap(), &[]).await;
    let first = events.next_event().await.unwrap();
    assert_eq!(first.data["turn_id"], receipt.json()["turn_id"], "its events begin with its own");
}

#[actix_web::test]
async fn a_query_may_be_answered_as_it_happens() {
    let world = World::new().await;
    let session = world.session_with(json!({"include_partial_messages": true})).await;
    // What came before is not shown.
    world.alice.post(&query(&session), json!({"message": "tool"})).await;
    let request = world.alice.request(reqwest::Method::POST, &query(&session));
    let request = request.header("accept", "text/event-stream").json(&json!({"message": "hello"}));
    let mut events = Events::read(world.alice.open(request).await);
    let seen = events.read_to_end().await;
    let names: Vec<&str> = seen.iter().map(|event| event.name.as_str()).collect();
    let deltas: String =
        seen.iter().filter_map(|event| event.data.pointer("/event/delta/text")?.as_str()).collect();
    assert_eq!(deltas, "hello there");
    assert_eq!(names.last(), Some(&"result"), "{names:?}");
    let turn = &seen.last().unwrap().data["turn_id"];
    assert!(seen.iter().all(|event| event.data["turn_id"] == *turn), "{seen:?}");
    let result = &seen.last().unwrap().data;
    assert_eq!((&result["status"], &result["text"]), (&json!("completed"), &json!("hello there")));
    assert!(result["metrics"]["input_tokens"].is_u64(), "{result}");
    let partial = seen.iter().find(|event| event.name == "partial_message").unwrap();
    assert_eq!((partial.id, &partial.data["type"]), (None, &json!("partial_message")));
}

#[actix_web::test]
async fn each_failure_of_a_turn_has_its_answer() {
    let world = World::new().await;
    let session = world.session_with(json!({"max_retries": 0, "timeout_seconds": 1})).await;
    let table = [
        ("die", 502, "AGENT_FAILED"),
        ("model", 502, "MODEL_FAILED"),
        ("hang", 504, "AGENT_TIMEOUT"),
        ("rounds", 200, "MAX_TURNS_REACHED"),
    ];
    for (prompt, status, code) in table {
        let answer = world.alice.post(&query(&session), json!({"message": prompt})).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{}", answer.text());
        let turn = answer.json()["turn_id"].as_str().unwrap().to_owned();
        let turn = world.alice.get(&format!("/api/v1/sessions/{session}/turns/{turn}")).await.json();
        assert_eq!((&turn["status"], &turn["error_code"]), (&json!("failed"), &json!(code)));
    }
    // The next prompt works.
    assert_eq!(world.alice.post(&query(&session), json!({"message": "hello"})).await.status, 200);
    let failed = world.alice.post(&query(&session), json!({"message": "model"})).await;
    assert_snapshot!("turn_failed", failed.shown());
}

#[actix_web::test]
async fn an_interrupted_query_is_answered_with_what_there_is() {
    let world = World::new().await;
    let session = world.session().await;
    let waiting = {
        let (alice, path) = (world.alice.clone(), query(&session));
        actix_web::rt::spawn(async move { alice.post(&path, json!({"message": "hang"})).await })
    };
    let mut events = Events::open(&world.alice, &format!("/api/v1/sessions/{session}/events"), &[]).await;
    while events.next_event().await.unwrap().name != "message_sent" {}
    let stopped = world.alice.post(&format!("/api/v1/sessions/{session}/interrupt"), json!({})).await;
    assert_eq!(stopped.json()["status"], "active", "{}", stopped.text());
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("interrupted")));
}

#[actix_web::test]
async fn a_second_prompt_is_refused_or_queued() {
    let world = World::new().await;
    let session = world.session().await;
    world.hang(&session).await;
    while world.alice.get(&format!("/api/v1/sessions/{session}")).await.json()["status"] != "processing" {}
    assert_snapshot!("busy", world.alice.post(&query(&session), json!({"message": "hello"})).await.shown());

    let queue = json!({"message": "hello", "if_busy": "queue"});
    let headers = [("prefer", "respond-async")];
    let queued = world.alice.post_with(&query(&session), queue.clone(), &headers).await;
    assert_eq!((queued.status, &queued.json()["status"]), (202, &json!("queued")));
    assert_eq!(world.alice.post_with(&query(&session), queue.clone(), &headers).await.status, 202);
    assert_snapshot!("queue_full", world.alice.post_with(&query(&session), queue, &headers).await.shown());
}

#[actix_web::test]
async fn of_two_prompts_at_one_instant_one_wins() {
    let world = World::new().await;
    let session = world.session().await;
    let path = query(&session);
    let ask = || world.alice.post_with(&path, json!({"message": "hang"}), &[("prefer", "respond-async")]);
    let (one, other) = futures::join!(ask(), ask());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409]);
}

#[actix_web::test]
async fn without_a_free_slot_a_prompt_waits_and_its_position_is_shown() {
    let world = World::of(Plan { interactive_agents_max: 1, ..Plan::default() }).await;
    let first = world.session().await;
    world.hang(&first).await;
    let mut waiting = vec![];
    for position in 1..=2 {
        let session = world.session().await;
        let body = json!({"message": "hello"});
        let receipt = world.alice.post_with(&query(&session), body, &[("prefer", "respond-async")]).await;
        let said = receipt.json();
        assert_eq!((&said["status"], &said["queue_position"]), (&json!("queued"), &json!(position)));
        let turn = said["links"]["self"].as_str().unwrap().to_owned();
        assert_eq!(world.alice.get(&turn).await.json()["queue_position"], position);
        waiting.push((session, turn));
    }
    // The first of them is taken back, and the second moves up.
    assert_eq!(world.bob.delete(&waiting[0].1).await.status, 404);
    assert_eq!(world.alice.delete(&waiting[0].1).await.status, 204);
    assert_eq!(world.alice.get(&waiting[0].1).await.json()["error_code"], "INTERRUPTED");
    assert_snapshot!("turn_not_queued", world.alice.delete(&waiting[0].1).await.shown());
    let (session, turn) = &waiting[1];
    assert_eq!(world.alice.get(turn).await.json()["queue_position"], 1);

    // A query that waits for its answer waits for its slot too.
    let answered = {
        let (alice, session) = (world.alice.clone(), world.session().await);
        actix_web::rt::spawn(async move { alice.post(&query(&session), json!({"message": "hello"})).await })
    };
    world.alice.post(&format!("/api/v1/sessions/{first}/interrupt"), json!({})).await;
    let answered = answered.await.unwrap();
    assert_eq!((answered.status, &answered.json()["status"]), (200, &json!("completed")));
    let mut events = Events::open(&world.alice, &format!("/api/v1/sessions/{session}/events"), &[]).await;
    let notice = events.next_event().await.unwrap();
    assert_eq!((notice.name.as_str(), &notice.data["position"]), ("notice", &json!(2)));
    let ended = world.alice.get(turn).await.json();
    assert_eq!((&ended["status"], &ended["queue_position"]), (&json!("completed"), &json!(null)));
}

#[actix_web::test]
async fn with_a_full_queue_the_client_is_told_when_to_come_back() {
    let plan = Plan { interactive_agents_max: 1, slot_queue_max: 0, ..Plan::default() };
    let world = World::of(plan).await;
    world.hang(&world.session().await).await;
    let second = world.session().await;
    assert_snapshot!("no_slot", world.alice.post(&query(&second), json!({"message": "hello"})).await.shown());
}

#[actix_web::test]
async fn a_prompt_may_interrupt_the_turn_before_it() {
    let world = World::new().await;
    let session = world.session().await;
    let hanging = world.hang(&session).await;
    let body = json!({"message": "hello", "if_busy": "interrupt"});
    let answer = world.alice.post(&query(&session), body).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("completed")), "{}", answer.text());
    let interrupted = world.alice.get(&format!("/api/v1/sessions/{session}/turns/{hanging}")).await.json();
    assert_eq!(interrupted["status"], "interrupted");
}
