//! A client that is told what came of its request, whatever becomes of the server it asks: it sends the request again, with
//! the same key, until it has an answer.

use crate::{
    client::Client,
    postgres_tasks::Postgres,
    tasks::Queue,
    world::{PATIENCE, World, eventually},
};
use domain::{ExecutionId, TaskId};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// How long the client pauses before it asks again.
const PAUSE: Duration = Duration::from_millis(100);
/// The claim of a server that is gone holds for a minute before its outcome is called unknown.
const PATIENCE_OF_CLIENTS: Duration = PATIENCE.saturating_mul(4);

/// Somebody with a key to the API, and where it is now: each life of a server listens elsewhere.
#[derive(Clone)]
pub struct Persistent {
    http: reqwest::Client,
    api_key: String,
    address: watch::Receiver<String>,
}

impl Persistent {
    /// An admin of the server; the sender is told where it listens after each start.
    pub async fn of(world: &World) -> (Self, watch::Sender<String>) {
        let admin = world.admin().await;
        let key = admin.post("/auth/api-keys", json!({ "name": "persistent" })).await.ok();
        let (moved, address) = watch::channel(admin.url);
        let api_key = key["key"].as_str().unwrap().to_owned();
        (Self { http: reqwest::Client::new(), api_key, address }, moved)
    }

    /// Has the task executed exactly once and answers with the execution. Where nobody knows what came of a request it
    /// looks, as the API advises, and asks with a new key if there is nothing.
    pub async fn execute(self, task: TaskId, mark: String, variables: Value) -> ExecutionId {
        let deadline = Instant::now() + PATIENCE_OF_CLIENTS;
        let mut key = fresh_key();
        while Instant::now() < deadline {
            match self.ask(task, &key, &variables).await {
                Some((202, receipt)) => return id(&receipt["execution_id"]),
                Some((409, problem)) if problem["error_code"] == "IDEMPOTENT_OUTCOME_UNKNOWN" => {
                    match self.look(task, &mark).await {
                        Some(Some(found)) => return found,
                        Some(None) => key = fresh_key(),
                        None => {}
                    }
                }
                Some((409, problem)) if problem["error_code"] == "IDEMPOTENT_REQUEST_RUNNING" => {}
                // It is gone, going, or not there yet.
                None | Some((503, _)) => {}
                Some(other) => panic!("{mark}: {other:?}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{mark}: nobody said what came of it");
    }

    /// One request; `None` if no answer came.
    async fn ask(&self, task: TaskId, key: &str, variables: &Value) -> Option<(u16, Value)> {
        let url = format!("{}/api/v1/tasks/{task}/execute", *self.address.borrow());
        let request = self.http.post(url).bearer_auth(&self.api_key).timeout(PATIENCE);
        let request = request.header("Idempotency-Key", key);
        let response = request.json(&json!({ "variables": variables })).send().await.ok()?;
        Some((response.status().as_u16(), response.json().await.ok()?))
    }

    /// The execution with this mark, if there is one; `None` if no answer came.
    async fn look(&self, task: TaskId, mark: &str) -> Option<Option<ExecutionId>> {
        let mut page = format!("/api/v1/tasks/{task}/executions?limit=100");
        loop {
            let request = self.http.get(format!("{}{page}", *self.address.borrow()));
            let response = request.bearer_auth(&self.api_key).timeout(PATIENCE).send().await.ok()?;
            let listed: Value = response.error_for_status().ok()?.json().await.ok()?;
            let found = listed["items"].as_array()?.iter().find(|one| one["variables"]["mark"] == mark);
            match (found, listed["links"]["next"].as_str()) {
                (Some(found), _) => return Some(Some(id(&found["id"]))),
                (None, Some(next)) => next.clone_into(&mut page),
                (None, None) => return Some(None),
            }
        }
    }
}

fn fresh_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn id(value: &Value) -> ExecutionId {
    ExecutionId(value.as_str().unwrap().parse().unwrap())
}

/// Asks for the task under the key.
async fn keyed(user: &Client, task: TaskId, key: &str) -> Result<(u16, Value), reqwest::Error> {
    let request = user.request(Method::POST, &format!("/tasks/{task}/execute"));
    let response = request.header("Idempotency-Key", key).json(&json!({})).send().await?;
    Ok((response.status().as_u16(), response.json().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_was_asked_for_is_not_done_again_by_the_next() {
    const PLACE: &str = "answer.before_kept";
    let postgres = Postgres::start().await;
    let mut api = postgres.server_with("api", &[("PARK_AT", PLACE)]).await;
    let queue = Queue::of(postgres.url()).await;
    let task = queue.task("[[text:done]]", 0).await.id;
    let (user, key) = (api.admin().await, fresh_key());
    let said = format!("PARKED {PLACE}\n");
    let killed = async {
        eventually(&said, async || api.log().contains(&said).then_some(())).await;
        api.kill().await;
    };
    let (answered, ()) = tokio::join!(keyed(&user, task, &key), killed);
    assert!(answered.is_err(), "it died before it answered: {answered:?}");
    assert_eq!(queue.runs(task).await.len(), 1, "and after it had done what it was asked for");

    api.unset("PARK_AT");
    api.launch().await;
    let user = api.admin().await;
    let (status, problem) = keyed(&user, task, &key).await.unwrap();
    assert_eq!((status, &problem["error_code"]), (409, &json!("IDEMPOTENT_REQUEST_RUNNING")), "{problem}");
    assert_eq!(queue.runs(task).await.len(), 1);
}
