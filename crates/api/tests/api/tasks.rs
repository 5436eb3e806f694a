//! Tasks over HTTP: defined, changed, done, done again, and refused by field.

use crate::{client::Client, world::World};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

const TASKS: &str = "/api/v1/tasks";
const NOBODY: &str = "0190a000-0000-7000-8000-000000000001";

/// A task that asks for one thing.
pub fn task(name: &str) -> Value {
    json!({ "name": name, "prompt_template": "hello" })
}

/// A task of alice's.
pub async fn made(world: &World, task: Value) -> String {
    let made = world.alice.post(TASKS, task).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("{TASKS}/{id}"));
    id
}

/// Asks for a task to be done, and answers with the address of the execution.
async fn executed(client: &Client, task: &str, variables: Value) -> String {
    let asked = client.post(&format!("{TASKS}/{task}/execute"), json!({ "variables": variables })).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let receipt = asked.json();
    let address = format!("{TASKS}/executions/{}", receipt["execution_id"].as_str().unwrap());
    assert_eq!(asked.header("location"), address);
    assert_eq!((&receipt["status"], &receipt["started_at"]), (&json!("queued"), &Value::Null));
    assert!(receipt["session_id"].is_string());
    address
}

/// A worker, as long as this is kept.
fn worker(world: &World) -> DropGuard {
    let token = CancellationToken::new();
    let (tasks, cancelled) = (world.state.tasks.clone(), token.clone());
    actix_web::rt::spawn(async move { tasks.work(cancelled).await });
    token.drop_guard()
}

/// A task of alice's that was done, with an archive and a file; and its execution.
pub async fn done(world: &World) -> (String, String) {
    let _worker = worker(world);
    let id = made(world, task("done")).await;
    let address = executed(&world.alice, &id, json!({})).await;
    let done = world.alice.watch_until(&address, "status", "completed").await;
    let archived = world.alice.post(&format!("{address}/archive"), json!({})).await;
    assert_eq!(archived.status, 200, "{}", archived.text());
    let session = done["_links"]["session"].as_str().unwrap();
    let restored = world.alice.post(&format!("{session}/archive/restore"), json!({})).await;
    assert_eq!(restored.status, 200, "{}", restored.text());
    let folder = world.alice.get(session).await.json()["working_directory"].as_str().unwrap().to_owned();
    std::fs::write(std::path::Path::new(&folder).join("note"), "hello").unwrap();
    (id, done["id"].as_str().unwrap().to_owned())
}

#[actix_web::test]
async fn a_task_is_made_changed_and_deleted() {
    let world = World::new().await;
    let id = made(
        &world,
        json!({
            "name": "nightly",
            "prompt_template": "look at {{ what }}",
            "default_variables": {"what": "the logs"},
            "allowed_tools": ["Read"],
            "disallowed_tools": ["WebFetch"],
            "sdk_options": {"max_turns": 4},
            "is_scheduled": true,
            "schedule_cron": "0 3 * * MON-FRI",
            "timezone": "Europe/Berlin",
            "tags": ["Night", "night "],
            "priority": 5,
            "retry_delay": 1.5,
        }),
    )
    .await;
    let path = format!("{TASKS}/{id}");
    let shown = world.alice.get(&path).await.json();
    assert_eq!((&shown["tags"], &shown["retry_delay"]), (&json!(["night"]), &json!(1.5)));
    assert_eq!(shown["sdk_options"], json!({"max_turns": 4}));
    let upcoming = shown["upcoming_runs"].as_array().unwrap();
    assert_eq!((upcoming.len(), &upcoming[0]), (5, &shown["next_run_at"]));
    assert!(!shown.to_string().contains("secret"));

    let patched =
        world.alice.patch(&path, json!({"schedule_enabled": false, "description": "d"})).await.json();
    assert_eq!((&patched["next_run_at"], &patched["upcoming_runs"]), (&Value::Null, &json!([])));
    assert_eq!(
        (&patched["description"], &patched["prompt_template"]),
        (&json!("d"), &json!("look at {{ what }}"))
    );
    let patched = world.alice.patch(&path, json!({"allowed_tools": null, "description": null})).await.json();
    assert_eq!((&patched["allowed_tools"], &patched["description"]), (&Value::Null, &Value::Null));
    assert_eq!(patched["disallowed_tools"], json!(["WebFetch"]), "what is left out stays");

    let names = |list: Value| -> Vec<String> {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    made(&world, task("by hand")).await;
    assert_eq!(names(world.alice.get(TASKS).await.json()), ["by hand", "nightly"]);
    assert_eq!(names(world.alice.get(&format!("{TASKS}?is_scheduled=true")).await.json()), ["nightly"]);
    assert_eq!(names(world.alice.get(&format!("{TASKS}?tags=NIGHT")).await.json()), ["nightly"]);
    assert_eq!(names(world.alice.get(&format!("{TASKS}?q=HAND")).await.json()), ["by hand"]);
    assert_eq!(world.bob.get(TASKS).await.json()["total"], 0);
    assert_eq!(world.admin.get(TASKS).await.json()["total"], 2);

    assert_eq!(world.alice.delete(&path).await.status, 204);
    assert_eq!(world.alice.get(&path).await.status, 404);
    assert_eq!(world.alice.post(&format!("{path}/execute"), json!({})).await.status, 404);
}

#[actix_web::test]
async fn bad_tasks_are_refused_by_field() {
    let world = World::new().await;
    let with = |fields: Value| {
        let mut task = task("x");
        task.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        task
    };
    let table: Vec<(Value, &[&str])> = vec![
        (json!({}), &["/name required"]),
        (with(json!({"nmae": 1})), &["/nmae unknown_field"]),
        (with(json!({"prompt_template": ""})), &["/prompt_template length"]),
        (with(json!({"prompt_template": "a\n{{ b"})), &["/prompt_template template"]),
        (with(json!({"prompt_template": "{% include 'x' %}"})), &["/prompt_template template"]),
        (with(json!({"is_scheduled": true})), &["/schedule_cron required"]),
        (with(json!({"schedule_cron": "61 * * * *"})), &["/schedule_cron cron"]),
        (with(json!({"schedule_cron": "* * * * * *"})), &["/schedule_cron cron"]),
        (with(json!({"schedule_cron": "0 0 30 2 *"})), &["/schedule_cron never"]),
        (with(json!({"timezone": "Mars/Base"})), &["/timezone time_zone"]),
        (
            with(
                json!({"is_scheduled": true, "schedule_cron": "@daily", "prompt_template": "{{ a }}{{ b }}",
                        "default_variables": {"a": 1}}),
            ),
            &["/default_variables/b required"],
        ),
        (with(json!({"report_format": "docx"})), &["/report_format enum"]),
        (with(json!({"notification_webhook": "ftp://example.org"})), &["/notification_webhook url"]),
        (with(json!({"notification_webhook": "https://u:p@example.org"})), &["/notification_webhook url"]),
        (with(json!({"tags": [" "]})), &["/tags item_length"]),
        (with(json!({"priority": 101})), &["/priority range"]),
        (with(json!({"max_retries": 11})), &["/max_retries range"]),
        (with(json!({"timeout_seconds": 0})), &["/timeout_seconds range"]),
        (with(json!({"permission_mode": "yolo"})), &["/permission_mode enum"]),
        (with(json!({"hooks_enabled": ["none"]})), &["/hooks_enabled/0 unknown"]),
        (with(json!({"custom_policies": ["none"]})), &["/custom_policies/0 unknown"]),
        (
            with(json!({"working_directory": "/etc", "schedule_cron": "x"})),
            &["/schedule_cron cron", "/working_directory outside"],
        ),
        (
            with(json!({"sdk_options": {"env": {"LD_PRELOAD": "x"}}})),
            &["/sdk_options/env/LD_PRELOAD forbidden"],
        ),
    ];
    let id = made(&world, task("kept")).await;
    for (body, violations) in table {
        let received = world.alice.post(TASKS, body.clone()).await;
        assert_eq!(
            (received.status, received.violations()),
            (422, violations.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()),
            "{body}: {}",
            received.text()
        );
        if body.get("name").is_some() {
            let patched = world.alice.patch(&format!("{TASKS}/{id}"), body.clone()).await;
            assert_eq!(patched.status, 422, "{body}: {}", patched.text());
        }
    }
    let syntax = world.alice.post(TASKS, with(json!({"prompt_template": "a\n  {{ b | }}"}))).await.json();
    assert_eq!(syntax["errors"][0]["line"], 2, "{syntax}");
    let list = world.alice.get(TASKS).await.json();
    assert_eq!((&list["total"], &list["items"][0]["prompt_template"]), (&json!(1), &json!("hello")));
}

#[actix_web::test]
async fn a_variable_that_is_missing_is_named() {
    let world = World::new().await;
    let template =
        json!({"name": "x", "prompt_template": "{{ a }} {{ b }} {{ c }}", "default_variables": {"c": 1}});
    let id = made(&world, template).await;
    let execute = format!("{TASKS}/{id}/execute");
    for body in [json!({}), json!({"variables": {"d": 1}})] {
        let refused = world.alice.post(&execute, body).await;
        assert_eq!(refused.violations(), ["/variables/a required", "/variables/b required"]);
        assert_eq!(refused.status, 422);
    }
    let refused = world.alice.send(world.alice.request(reqwest::Method::POST, &execute)).await;
    assert_eq!(refused.status, 422, "no body is an empty one: {}", refused.text());
    assert_eq!(world.alice.get(&format!("{TASKS}/{id}/executions")).await.json()["total"], 0);
    let address = executed(&world.alice, &id, json!({"a": "x", "b": ["y"]})).await;
    let execution = world.alice.get(&address).await.json();
    assert_eq!(execution["prompt"], "x ['y'] 1");
    assert_eq!(execution["variables"], json!({"a": "x", "b": ["y"], "c": 1}));
}

#[actix_web::test]
async fn a_task_is_done_and_what_came_of_it_is_found() {
    let world = World::new().await;
    let _worker = worker(&world);
    let id = made(&world, json!({"name": "x", "prompt_template": "{{ word }}"})).await;
    let address = executed(&world.alice, &id, json!({"word": "tool"})).await;
    let done = world.alice.watch_until(&address, "status", "completed").await;
    assert_eq!((&done["result"], &done["tool_call_count"]), (&json!("it said hi"), &json!(1)));
    assert_eq!((&done["trigger"], &done["attempt"]), (&json!("manual"), &json!(1)));
    assert_eq!(done["session_created"], true);

    let calls = world.alice.get(&format!("{address}/tool-calls")).await.json();
    assert_eq!((&calls[0]["tool_name"], &calls[0]["session_id"]), (&json!("Bash"), &done["session_id"]));
    let session = world.alice.get(done["_links"]["session"].as_str().unwrap()).await.json();
    assert_eq!((&session["mode"], &session["status"]), (&json!("background"), &json!("completed")));
    let folder = std::path::PathBuf::from(session["working_directory"].as_str().unwrap());
    std::fs::write(folder.join("made"), "by it").unwrap();
    let files = world.alice.get(&format!("{address}/files")).await.json();
    assert_eq!(files["items"][0]["path"], "made");
    let read = world.alice.get(&format!("{address}/files/download?file_path=made")).await;
    assert_eq!((read.status, read.text().as_str()), (200, "by it"));
    assert_eq!(read.header("content-disposition"), "attachment");
    for outside in ["../made", "/etc/passwd", "nothing"] {
        let refused = world.alice.get(&format!("{address}/files/download?file_path={outside}")).await;
        assert_eq!((refused.status, refused.error_code().as_str()), (404, "FILE_NOT_FOUND"), "{outside}");
    }
    assert_eq!(world.alice.get(&format!("{address}/files/download")).await.status, 422);

    assert_eq!(world.alice.get(&format!("{address}/archive")).await.error_code(), "ARCHIVE_NOT_FOUND");
    let archived = world.alice.post(&format!("{address}/archive"), json!({})).await;
    assert_eq!(
        (archived.status, &archived.json()["status"]),
        (200, &json!("completed")),
        "{}",
        archived.text()
    );
    assert_eq!(world.alice.get(&format!("{address}/archive")).await.json()["id"], archived.json()["id"]);

    let again = world.alice.post(&format!("{address}/retry"), json!({})).await;
    assert_eq!((again.status, again.error_code().as_str()), (409, "EXECUTION_NOT_RETRYABLE"));
    let over = world.alice.post(&format!("{address}/cancel"), json!({})).await;
    assert_eq!((over.status, over.error_code().as_str()), (409, "EXECUTION_OVER"));
    let list = format!("{TASKS}/{id}/executions");
    assert_eq!(
        world.alice.get(&format!("{list}?status=completed")).await.json()["items"][0]["id"],
        done["id"]
    );
    assert_eq!(world.alice.get(&format!("{list}?status=failed")).await.json()["total"], 0);
    assert_eq!(world.alice.get(&format!("{list}?status=lost")).await.status, 422);
}

#[actix_web::test]
async fn an_execution_is_cancelled_and_done_again() {
    let world = World::new().await;
    let id = made(&world, task("x")).await;
    let waits = executed(&world.alice, &id, json!({})).await;
    let early = world.alice.get(&format!("{waits}/tool-calls")).await;
    assert_eq!((early.status, early.json()), (200, json!([])));
    assert_eq!(world.alice.get(&format!("{waits}/files")).await.json()["items"], json!([]));
    let cancelled = world.alice.post(&format!("{waits}/cancel"), json!({})).await.json();
    assert_eq!(
        (&cancelled["status"], &cancelled["error"]["code"]),
        (&json!("cancelled"), &json!("CANCELLED"))
    );
    let again = world.alice.post(&format!("{waits}/retry"), json!({})).await;
    assert_eq!(again.status, 202, "{}", again.text());
    let address = again.header("location").to_owned();
    let _worker = worker(&world);
    let done = world.alice.watch_until(&address, "status", "completed").await;
    assert_eq!((&done["trigger"], &done["retry_of"]), (&json!("retry"), &cancelled["id"]));

    let hangs = made(&world, json!({"name": "x", "prompt_template": "hang"})).await;
    let runs = executed(&world.alice, &hangs, json!({})).await;
    world.alice.watch_until(&runs, "status", "running").await;
    assert_eq!(world.alice.post(&format!("{runs}/cancel"), json!({})).await.status, 200);
    world.alice.watch_until(&runs, "status", "cancelled").await;
}

#[actix_web::test]
async fn a_webhook_has_a_secret_that_is_shown_once() {
    let world = World::new().await;
    let made = world.alice.post(TASKS, {
        let mut task = task("x");
        task["notification_webhook"] = json!("http://127.0.0.1:1/");
        task
    });
    let made = made.await.json();
    let secret = made["webhook_secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    let path = format!("{TASKS}/{}", made["id"].as_str().unwrap());
    assert!(!world.alice.get(&path).await.text().contains("whsec_"));
    let patched =
        world.alice.patch(&path, json!({"notification_webhook": "http://127.0.0.1:2/"})).await.json();
    assert_eq!(patched["webhook_secret"], Value::Null, "it has one");
    let rotated = world.alice.post(&format!("{path}/rotate-secret"), json!({})).await.json();
    assert_ne!(rotated["webhook_secret"], json!(secret));
    assert_eq!(world.bob.post(&format!("{path}/rotate-secret"), json!({})).await.status, 404);

    let later = world.alice.post(TASKS, task("later")).await.json();
    assert_eq!(later["webhook_secret"], Value::Null);
    let later = format!("{TASKS}/{}", later["id"].as_str().unwrap());
    let patched =
        world.alice.patch(&later, json!({"notification_webhook": "http://127.0.0.1:2/"})).await.json();
    assert!(patched["webhook_secret"].as_str().unwrap().starts_with("whsec_"), "its first");
}

#[actix_web::test]
async fn what_is_not_there_is_not_found() {
    let world = World::new().await;
    for path in ["", "/cancel", "/retry", "/tool-calls", "/files", "/files/download?file_path=x", "/archive"]
    {
        let path = format!("{TASKS}/executions/{NOBODY}{path}");
        let received = match path.ends_with("cancel") || path.ends_with("retry") {
            true => world.alice.post(&path, json!({})).await,
            false => world.alice.get(&path).await,
        };
        assert_eq!((received.status, received.error_code().as_str()), (404, "EXECUTION_NOT_FOUND"), "{path}");
    }
    let path = format!("{TASKS}/{NOBODY}");
    for received in [
        world.alice.get(&path).await,
        world.alice.patch(&path, json!({})).await,
        world.alice.delete(&path).await,
        world.alice.get(&format!("{path}/executions")).await,
    ] {
        assert_eq!(
            (received.status, received.error_code().as_str()),
            (404, "TASK_NOT_FOUND"),
            "{}",
            received.request
        );
    }
}

#[actix_web::test]
async fn nothing_is_queued_without_money() {
    let world = World::new().await;
    let id = made(&world, task("poor")).await;
    let address = executed(&world.alice, &id, json!({})).await;
    assert_eq!(world.alice.post(&format!("{address}/cancel"), json!({})).await.status, 200);
    let budget = format!("/api/v1/monitoring/costs/budget/{}", world.id(&world.alice).await);
    let set = async |usd: u32| {
        let set = world.admin.put(&budget, json!({"monthly_budget_usd": usd})).await;
        assert_eq!(set.status, 200, "{}", set.text());
    };
    set(0).await;
    let (execute, retry) = (format!("{TASKS}/{id}/execute"), format!("{address}/retry"));
    // The owner pays, whoever asks.
    for client in [&world.alice, &world.admin] {
        for path in [&execute, &retry] {
            let refused = client.post(path, json!({})).await;
            assert_eq!((refused.status, refused.error_code().as_str()), (402, "BUDGET_EXHAUSTED"), "{path}");
        }
    }
    let listed = world.alice.get(&format!("{TASKS}/{id}/executions")).await.json();
    assert_eq!(listed["total"], 1, "{listed}");
    set(1).await;
    assert_eq!(world.alice.post(&execute, json!({})).await.status, 202);
    assert_eq!(world.alice.post(&retry, json!({})).await.status, 202);
}
