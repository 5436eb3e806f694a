//! A task from its definition to what follows its end, with the real CLI: done, looked at, archived, told, and told
//! again by the next life of a server that died in between.

use crate::{
    client::{Client, send},
    receiver::{Receiver, Reply},
    world::{World, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};

const LOCAL: [(&str, &str); 2] = [("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true"), ("IS_SANDBOX", "1")];
const PROMPT: &str = r#"[[tool:Bash {"command": "touch {{ name }}"}]][[next]][[text:I made {{ name }}]]"#;

/// Has the task done, and answers with the execution once it is over.
async fn done(user: &Client, task: &str, name: &str) -> Value {
    let asked = user.post(&format!("{task}/execute"), json!({ "variables": { "name": name } })).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let address = format!("/tasks/executions/{}", asked.body["execution_id"].as_str().unwrap());
    eventually("the execution is over", async || {
        let execution = user.get(&address).await.ok();
        (execution["completed_at"] != Value::Null).then_some(execution)
    })
    .await
}

fn path(execution: &Value) -> String {
    format!("/tasks/executions/{}", execution["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_done_and_its_end_is_told_also_by_the_next_life_of_the_server() {
    let mut world = World::with(&LOCAL).await;
    let user = world.admin().await;
    let receiver = Receiver::start(Reply::Status(204)).await;
    let task = json!({
        "name": "maker",
        "prompt_template": PROMPT,
        "allowed_tools": ["Bash"],
        "notification_webhook": receiver.url,
    });
    let made = user.post("/tasks", task).await.ok();
    let secret = made["webhook_secret"].as_str().unwrap().to_owned();
    let task = format!("/tasks/{}", made["id"].as_str().unwrap());
    let refused = user.post(&format!("{task}/execute"), json!({})).await;
    assert_eq!(refused.problem(422, "VALIDATION_FAILED")["errors"][0]["pointer"], "/variables/name");

    let execution = done(&user, &task, "first").await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("completed"), &json!("I made first")));
    let files = user.get(&format!("{}/files", path(&execution))).await.ok();
    assert!(files["items"].as_array().unwrap().iter().any(|file| file["path"] == "first"), "{files}");
    let file = user.get(&format!("{}/files/download?file_path=first", path(&execution))).await;
    assert_eq!(file.status, 200, "{file:?}");
    let calls = user.get(&format!("{}/tool-calls", path(&execution))).await.ok();
    assert_eq!(calls[0]["tool_input"]["command"], "touch first");
    let [told] = &receiver.until(1).await[..] else { panic!("told more than once") };
    assert!(told.is_signed_with(&secret), "{told:?}");
    assert_eq!(told.id(), execution["id"].as_str().unwrap());
    let message = told.json();
    assert_eq!(
        (&message["type"], &message["timestamp"]),
        (&json!("execution.completed"), &execution["completed_at"])
    );
    assert_eq!(
        (&message["data"]["result"], &message["data"]["tool_calls"]),
        (&json!("I made first"), &json!(1))
    );

    // What is not taken is told again, under its id, by whoever is there then.
    receiver.reply_with(Reply::Status(503));
    let patch = user.request(Method::PATCH, &task).json(&json!({ "auto_archive": true }));
    assert_eq!(send(patch).await.ok()["auto_archive"], true);
    let execution = done(&user, &task, "second").await;
    let id = execution["id"].as_str().unwrap().to_owned();
    receiver.until(2).await;
    world.kill().await;
    receiver.reply_with(Reply::Status(204));
    world.launch().await;
    let user = world.admin().await;
    let execution = eventually("the end is told", async || {
        let execution = user.get(&path(&execution)).await.ok();
        (execution["after"]["notified_at"] != Value::Null).then_some(execution)
    })
    .await;
    let received = receiver.received();
    let told: Vec<_> = received.iter().filter(|told| told.id() == id).collect();
    assert!(told.len() >= 2 && told.iter().all(|told| told.is_signed_with(&secret)), "{told:?}");
    let archive = &execution["after"]["archive_id"];
    assert_eq!(&told.last().unwrap().json()["data"]["archive_id"], archive);
    let archived = eventually("the session is archived", async || {
        let archived = user.get(&format!("{}/archive", path(&execution))).await.ok();
        (archived["status"] == "completed").then_some(archived)
    })
    .await;
    assert_eq!(&archived["id"], archive);
    let session = user.get(&format!("/sessions/{}", execution["session_id"].as_str().unwrap())).await.ok();
    assert_eq!(session["status"], "archived");
}
