//! Every state of a session, everything that may be asked of it in that state, and what comes of it.
//!
//! The table is written out, so that a change of it is made here too, on purpose.

use crate::{
    client::PATIENCE,
    world::{Plan, World},
};
use domain::{SessionId, SessionStatus, ports::Sessions as _};
use reqwest::Method;
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::{Value, json};
use std::time::Instant;

/// What is asked: a word for it, the method, the path below the session, and the body.
const OPERATIONS: [(&str, Method, &str, &str); 9] = [
    ("prompt", Method::POST, "/query", r#"{"message": "hang"}"#),
    ("queue", Method::POST, "/query", r#"{"message": "hang", "if_busy": "queue"}"#),
    ("barge in", Method::POST, "/query", r#"{"message": "hang", "if_busy": "interrupt"}"#),
    ("pause", Method::POST, "/pause", "{}"),
    ("resume", Method::POST, "/resume", "{}"),
    ("wake", Method::POST, "/wake", "{}"),
    ("interrupt", Method::POST, "/interrupt", "{}"),
    ("terminate", Method::DELETE, "", ""),
    ("rename", Method::PATCH, "", r#"{"name": "new"}"#),
];

/// For each state the answer to each operation, in their order, and the state it leads to.
const TABLE: [(&str, [&str; 9]); 10] = [
    (
        "created",
        [
            "202 processing",
            "202 processing",
            "202 processing",
            "200 paused",
            "409 created",
            "202 created",
            "200 created",
            "204 terminated",
            "200 created",
        ],
    ),
    (
        "connecting",
        [
            "409 connecting",
            "202 connecting",
            "202 connecting",
            "200 paused",
            "409 connecting",
            "202 connecting",
            "200 active",
            "204 terminated",
            "200 connecting",
        ],
    ),
    (
        "active",
        [
            "202 processing",
            "202 processing",
            "202 processing",
            "200 paused",
            "409 active",
            "202 active",
            "200 active",
            "204 terminated",
            "200 active",
        ],
    ),
    (
        "processing",
        [
            "409 processing",
            "202 processing",
            "202 processing",
            "200 paused",
            "409 processing",
            "202 processing",
            "200 active",
            "204 terminated",
            "200 processing",
        ],
    ),
    (
        "waiting_user",
        [
            "409 waiting_user",
            "202 waiting_user",
            "202 processing",
            "200 paused",
            "409 waiting_user",
            "202 waiting_user",
            "200 active",
            "204 terminated",
            "200 waiting_user",
        ],
    ),
    (
        "paused",
        [
            "409 paused",
            "409 paused",
            "409 paused",
            "409 paused",
            "200 active",
            "409 paused",
            "200 paused",
            "204 terminated",
            "200 paused",
        ],
    ),
    (
        "completed",
        [
            "409 completed",
            "409 completed",
            "409 completed",
            "409 completed",
            "200 active",
            "409 completed",
            "200 completed",
            "204 terminated",
            "200 completed",
        ],
    ),
    (
        "failed",
        [
            "409 failed",
            "409 failed",
            "409 failed",
            "409 failed",
            "200 active",
            "409 failed",
            "200 failed",
            "204 terminated",
            "200 failed",
        ],
    ),
    (
        "terminated",
        [
            "409 terminated",
            "409 terminated",
            "409 terminated",
            "409 terminated",
            "409 terminated",
            "409 terminated",
            "200 terminated",
            "204 terminated",
            "200 terminated",
        ],
    ),
    (
        "archived",
        [
            "409 archived",
            "409 archived",
            "409 archived",
            "409 archived",
            "409 archived",
            "409 archived",
            "200 archived",
            "204 terminated",
            "200 archived",
        ],
    ),
];

#[actix_web::test]
async fn every_operation_in_every_state_leads_where_the_table_says() {
    let known: Vec<&str> = TABLE.iter().map(|(state, _)| *state).collect();
    assert_eq!(known, SessionStatus::ALL.map(SessionStatus::as_str), "a state without a row");
    let usual = World::of(Plan { interactive_agents_max: 100, ..Plan::default() }).await;
    let slow = Plan {
        interactive_agents_max: 100,
        launcher: ScriptedLauncher::new().silent_at_start(),
        ..Plan::default()
    };
    let slow = World::of(slow).await;
    let mut wrong = vec![];
    for (state, answers) in TABLE {
        let world = if state == "connecting" { &slow } else { &usual };
        for (operation, expected) in OPERATIONS.iter().zip(answers) {
            let session = session_that_is(world, state).await;
            let answer = ask(world, &session, operation).await;
            let leads_to = expected.split_once(' ').unwrap().1;
            let reached = reach(world, &session, leads_to).await;
            let came = format!("{answer} {reached}");
            if came != expected {
                wrong.push(format!("{} while {state}: {came} instead of {expected}", operation.0));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[actix_web::test]
async fn a_refusal_says_in_which_state_the_session_is() {
    let world = World::new().await;
    for (state, code) in
        [("processing", "SESSION_BUSY"), ("paused", "WRONG_STATE"), ("completed", "WRONG_STATE")]
    {
        let session = session_that_is(&world, state).await;
        let refused = world.alice.post(&path(&session, "/query"), json!({"message": "hello"})).await;
        assert_eq!((refused.status, refused.error_code().as_str()), (409, code), "{}", refused.text());
        assert!(refused.json()["detail"].as_str().unwrap().contains(state), "{}", refused.text());
    }
}

/// A session in this state, brought there as its users would.
async fn session_that_is(world: &World, state: &str) -> String {
    let ask = |session: &str, rest: &str, body: Value| {
        let (alice, path) = (world.alice.clone(), path(session, rest));
        async move { alice.post_with(&path, body, &[("prefer", "respond-async")]).await }
    };
    let background = |message: &str| {
        world.session_with(json!({"mode": "background", "initial_message": message, "max_retries": 0}))
    };
    let session = match state {
        "completed" => background("hello").await,
        "failed" => background("model").await,
        _ => world.session().await,
    };
    match state {
        "connecting" | "processing" | "waiting_user" => {
            ask(&session, "/query", json!({"message": "hang"})).await;
        }
        "active" => {
            ask(&session, "/query", json!({"message": "hello"})).await;
        }
        "paused" => {
            ask(&session, "/pause", json!({})).await;
        }
        "terminated" => {
            world.alice.delete(&path(&session, "")).await;
        }
        _ => {}
    }
    // What only an agent's question or an archive leads to is set in the store.
    let (before, set) = match state {
        "waiting_user" => ("processing", Some(SessionStatus::WaitingUser)),
        "archived" => ("created", Some(SessionStatus::Archived)),
        state => (state, None),
    };
    assert_eq!(reach(world, &session, before).await, before);
    if let Some(status) = set {
        let id = SessionId(session.parse().unwrap());
        world.store.move_to(id, domain::Generation::FIRST, status, world.state.clock.now()).await.unwrap();
    }
    session
}

async fn ask(world: &World, session: &str, (_, method, rest, body): &(&str, Method, &str, &str)) -> u16 {
    let mut request =
        world.alice.request(method.clone(), &path(session, rest)).header("prefer", "respond-async");
    if !body.is_empty() {
        request = request.header("content-type", "application/json").body((*body).to_owned());
    }
    world.alice.send(request).await.status
}

/// The state that the session is in once it is in this one, or at last.
async fn reach(world: &World, session: &str, wanted: &str) -> String {
    let begun = Instant::now();
    loop {
        let state = world.alice.get(&path(session, "")).await.json()["status"].as_str().unwrap().to_owned();
        if state == wanted || begun.elapsed() > PATIENCE / 6 {
            return state;
        }
        tokio::task::yield_now().await;
    }
}

fn path(session: &str, rest: &str) -> String {
    format!("/api/v1/sessions/{session}{rest}")
}
