//! A person decides: what an agent asks is answered over HTTP or the WebSocket, and only then it runs.

use crate::{
    client::{Client, send},
    world::{World, eventually},
};
use futures::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use tokio_tungstenite::{connect_async, tungstenite::Message};

/// A prompt whose turn uses a tool once.
pub fn uses(tool: &str, input: &Value) -> String {
    format!("go [[tool!:{tool} {input}]][[next]][[text:done]]")
}

pub fn runs(command: &str) -> String {
    uses("Bash", &json!({ "command": command }))
}

/// The approval the session waits for, once it does.
pub async fn asked(user: &Client, session: &str) -> Value {
    eventually("somebody is asked", async || {
        let pending = user.get(&format!("{session}/approvals?status=pending")).await.ok();
        pending.as_array().unwrap().first().cloned()
    })
    .await
}

pub async fn answer(user: &Client, session: &str, approval: &Value, body: Value) -> crate::client::Answer {
    let id = approval["id"].as_str().unwrap();
    user.post(&format!("{session}/approvals/{id}"), body).await
}

pub async fn file(user: &Client, session: &str, name: &str) -> PathBuf {
    let shown = user.get(session).await.ok();
    PathBuf::from(shown["working_directory"].as_str().unwrap()).join(name)
}

/// What the model was told last.
pub fn told(world: &World) -> String {
    world.model.requests().last().unwrap().json().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_allows_runs_as_they_changed_it() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "timeout_seconds": 60 })).await;
    let turn = user.query_async(&session, &runs("touch asked.txt")).await;
    let approval = asked(&user, &session).await;
    assert_eq!((&approval["kind"], &approval["tool_name"]), (&json!("tool"), &json!("Bash")));
    assert_eq!(approval["tool_input"]["command"], "touch asked.txt");
    assert_eq!(approval["default_decision"], "deny");
    assert_eq!(user.get(&session).await.ok()["status"], "waiting_user");
    let waiting = user.get("/approvals").await.ok();
    assert_eq!((&waiting["total"], &waiting["items"][0]["id"]), (&json!(1), &approval["id"]));

    let edited = json!({ "decision": "allow", "updated_input": { "command": "touch edited.txt" } });
    let allowed = answer(&user, &session, &approval, edited).await.ok();
    assert_eq!(allowed["status"], "allowed");
    assert!(allowed["decided_by"].is_string() && allowed["decided_at"].is_string(), "{allowed}");
    let over = user.turn_over(&turn).await;
    assert_eq!((&over["status"], &over["answer"]), (&json!("completed"), &json!("done")));
    assert!(file(&user, &session, "edited.txt").await.exists());
    assert!(!file(&user, &session, "asked.txt").await.exists());
    assert_eq!(user.get("/approvals").await.ok()["total"], 0);

    let trail = user.get(&format!("{session}/audit-trail?limit=1000")).await.ok();
    let of = |kind: &str| trail.as_array().unwrap().iter().position(|event| event["type"] == kind);
    let (requested, decided) = (of("approval_requested").unwrap(), of("approval_decided").unwrap());
    let recorded = trail.as_array().unwrap().iter().position(|event| event["decided_by"] == "user").unwrap();
    let ran = of("tool_call_completed").unwrap();
    assert!(requested < decided && decided < recorded && recorded < ran, "{trail}");
    assert_eq!(trail[decided]["decided_by"], allowed["decided_by"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_reaches_the_model_in_the_persons_words_and_the_first_answer_stands() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let turn = user.query_async(&session, &runs("touch a.txt")).await;
    let approval = asked(&user, &session).await;
    let wrong = json!({ "decision": "allow", "updated_input": "touch b.txt" });
    answer(&user, &session, &approval, wrong).await.problem(422, "VALIDATION_FAILED");
    let no =
        || answer(&user, &session, &approval, json!({ "decision": "deny", "reason": "not on a friday" }));
    let (one, other) = tokio::join!(no(), no());
    let (winner, loser) = if one.status == 200 { (one, other) } else { (other, one) };
    let winner = winner.ok();
    assert_eq!(loser.problem(409, "APPROVAL_DECIDED")["approval"]["decided_at"], winner["decided_at"]);
    let late = answer(&user, &session, &approval, json!({ "decision": "allow" })).await;
    assert_eq!(late.problem(409, "APPROVAL_DECIDED")["approval"]["status"], "denied");
    assert_eq!(user.turn_over(&turn).await["status"], "completed");
    assert!(told(&world).contains("not on a friday"));
    assert!(!file(&user, &session, "a.txt").await.exists());
    let calls = user.get(&format!("{session}/tool-calls")).await.ok();
    assert_eq!(calls[0]["status"], "denied", "{calls}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answers_in_time_is_denied() {
    let world = World::with(&[("APPROVAL_TIMEOUT_SECONDS", "1")]).await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    assert_eq!(user.ask(&session, &runs("touch a.txt")).await, "done");
    let approvals = user.get(&format!("{session}/approvals")).await.ok();
    assert_eq!((&approvals[0]["status"], &approvals[0]["decided_by"]), (&json!("expired"), &Value::Null));
    assert!(told(&world).contains("Nobody approved this call within 1 s"));
    assert!(!file(&user, &session, "a.txt").await.exists());
    let late = answer(&user, &session, &approvals[0], json!({ "decision": "allow" })).await;
    late.problem(409, "APPROVAL_DECIDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_withdraws_what_was_asked() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let turn = user.query_async(&session, &runs("touch a.txt")).await;
    let approval = asked(&user, &session).await;
    user.post(&format!("{session}/interrupt"), json!({})).await.ok();
    assert_eq!(user.turn_over(&turn).await["status"], "interrupted");
    eventually("it is withdrawn", async || {
        let approvals = user.get(&format!("{session}/approvals")).await.ok();
        (approvals[0]["status"] == "withdrawn").then_some(())
    })
    .await;
    answer(&user, &session, &approval, json!({ "decision": "allow" })).await.problem(409, "APPROVAL_DECIDED");
    assert_eq!(user.ask(&session, "[[text:next]]").await, "next");
    assert!(!file(&user, &session, "a.txt").await.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_and_plans_approved() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "permission_mode": "plan" })).await;
    let questions = json!({ "questions": [{
        "question": "Which colour?", "header": "Colour", "multiSelect": false,
        "options": [{ "label": "Red", "description": "warm" }, { "label": "Blue", "description": "cold" }],
    }]});
    let turn = user.query_async(&session, &uses("AskUserQuestion", &questions)).await;
    let approval = asked(&user, &session).await;
    assert_eq!(approval["kind"], "question");
    let answers = |answers: Value| json!({ "decision": "allow", "answers": answers });
    for wrong in [json!({}), json!({ "Which size?": "XL" }), json!({ "Which colour?": ["Red", "Blue"] })] {
        answer(&user, &session, &approval, answers(wrong)).await.problem(422, "VALIDATION_FAILED");
    }
    answer(&user, &session, &approval, answers(json!({ "Which colour?": "Blue" }))).await.ok();
    user.turn_over(&turn).await;
    let results = told(&world);
    assert!(results.contains("answered") && results.contains("=\\\"Blue"), "{results}");

    let turn = user.query_async(&session, &uses("ExitPlanMode", &json!({ "plan": "Do it." }))).await;
    let approval = asked(&user, &session).await;
    assert_eq!(approval["kind"], "plan");
    answer(&user, &session, &approval, json!({ "decision": "allow" })).await.ok();
    assert_eq!(user.turn_over(&turn).await["status"], "completed");
    assert!(told(&world).contains("approved"), "{}", told(&world));
    assert_eq!(user.get(&session).await.ok()["permission_mode"], "default", "for the next agent too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_not_asked_again_by_the_next_agent_either() {
    let mut world = World::start().await;
    let mut user = world.admin().await;
    let session = user.session(json!({})).await;
    let turn = user.query_async(&session, &runs("touch a.txt")).await;
    let approval = asked(&user, &session).await;
    let yes = json!({ "decision": "allow", "remember": "session" });
    answer(&user, &session, &approval, yes).await.ok();
    user.turn_over(&turn).await;
    let a = file(&user, &session, "a.txt").await;
    for _ in 0..2 {
        std::fs::remove_file(&a).unwrap();
        assert_eq!(user.ask(&session, &runs("touch a.txt")).await, "done");
        assert!(a.exists(), "nobody had to be asked");
        world.stop().await;
        world.launch().await;
        user = world.admin().await;
    }
    user.query_async(&session, &runs("touch b.txt")).await;
    assert_eq!(asked(&user, &session).await["tool_input"]["command"], "touch b.txt", "this is another call");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_come_over_the_websocket() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let token = user.token.as_ref().unwrap();
    let url = format!("{}/api/v1{session}/stream?token={token}", user.url.replace("http://", "ws://"));
    let (mut socket, _) = connect_async(url).await.unwrap();
    let turn = user.query_async(&session, &runs("touch a.txt")).await;
    let mut hear = async |wanted: &str, say: Option<Value>| {
        if let Some(command) = say {
            socket.send(Message::text(command.to_string())).await.unwrap();
        }
        loop {
            let heard = tokio::time::timeout(crate::world::PATIENCE, socket.next()).await.unwrap();
            let Message::Text(text) = heard.unwrap().unwrap() else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == wanted {
                return message;
            }
        }
    };
    let requested = hear("approval_requested", None).await;
    let command = json!({
        "type": "approval", "request_id": "r1", "approval_id": requested["approval_id"], "decision": "allow",
    });
    let decided = hear("approval_decided", Some(command.clone())).await;
    assert_eq!((&decided["approval_id"], &decided["status"]), (&requested["approval_id"], &json!("allowed")));
    let error = hear("error", Some(command)).await;
    assert_eq!((&error["request_id"], &error["error_code"]), (&json!("r1"), &json!("APPROVAL_DECIDED")));
    assert_eq!(user.turn_over(&turn).await["status"], "completed");
    assert!(file(&user, &session, "a.txt").await.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_answers_and_no_key_that_only_reads() {
    let world = World::with(&[("ALLOW_REGISTRATION", "true")]).await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    user.query_async(&session, &runs("touch a.txt")).await;
    let approval = asked(&user, &session).await;
    let yes = json!({ "decision": "allow" });

    let key = user.post("/auth/api-keys", json!({ "name": "ci", "scopes": ["read"] })).await.ok();
    let mut reader = world.stranger();
    reader.token = key["key"].as_str().map(str::to_owned);
    answer(&reader, &session, &approval, yes.clone()).await.problem(403, "READ_ONLY");
    assert_eq!(reader.get("/approvals").await.ok()["total"], 1);

    let password = "a password that is long";
    let eve = json!({ "email": "eve@example.com", "username": "eve", "password": password });
    world.stranger().post("/auth/register", eve).await.ok();
    let eve = Client::login(&user.url, "eve@example.com", password).await;
    answer(&eve, &session, &approval, yes.clone()).await.problem(404, "SESSION_NOT_FOUND");
    assert_eq!(eve.get("/approvals").await.ok()["total"], 0);
    let unknown = format!("{session}/approvals/00000000-0000-7000-8000-000000000000");
    send(user.request(Method::POST, &unknown).json(&yes)).await.problem(404, "APPROVAL_NOT_FOUND");
    assert!(!file(&user, &session, "a.txt").await.exists());
}
