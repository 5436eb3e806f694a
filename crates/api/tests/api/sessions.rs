//! Sessions as people manage them.

use crate::{client::PATIENCE, world::World};
use insta::assert_snapshot;
use serde_json::{Value, json};
use tokio::time::timeout;

const SESSIONS: &str = "/api/v1/sessions";

#[actix_web::test]
async fn a_session_is_created_with_defaults_and_read_back() {
    let world = World::new().await;
    let made = world.alice.post(SESSIONS, json!({})).await;
    assert_snapshot!("session_created", made.shown());
    let read = world.alice.get(made.header("location")).await;
    assert_eq!(read.json(), made.json());
}

#[actix_web::test]
async fn a_session_is_created_as_asked() {
    let world = World::new().await;
    let request = json!({
        "name": "n", "description": "d", "working_directory": "project/one", "allowed_tools": ["Bash(git:*)"],
        "system_prompt": "be brief", "metadata": {"a": [1]}, "mode": "interactive",
        "sdk_options": {"model": "claude-opus-4-1", "max_turns": 3, "disallowed_tools": ["WebFetch"],
            "env": {"X": "1"}, "mcp_servers": {"m": {"command": "true"}}, "effort": "low"},
        "include_partial_messages": true, "max_retries": 0, "retry_delay": 0.25, "timeout_seconds": 7,
        "permission_mode": "acceptEdits",
    });
    let made = world.alice.post(SESSIONS, request).await;
    assert_snapshot!("session_created_as_asked", made.shown());
}

#[actix_web::test]
async fn a_background_session_works_by_itself() {
    let world = World::new().await;
    let id = world.session_with(json!({"mode": "background", "initial_message": "hello"})).await;
    let path = format!("{SESSIONS}/{id}");
    let settled = async {
        loop {
            let session = world.alice.get(&path).await.json();
            if session["status"] == "completed" {
                return session;
            }
            tokio::task::yield_now().await;
        }
    };
    let session = timeout(PATIENCE, settled).await.unwrap();
    assert_eq!(session["message_count"], 2);
    assert_eq!(session["metrics"]["message_count"], 2);
}

#[actix_web::test]
async fn a_session_is_changed_field_by_field() {
    let world = World::new().await;
    let id = world.session_with(json!({"name": "before", "description": "kept"})).await;
    let path = format!("{SESSIONS}/{id}");
    let change = json!({
        "name": "after", "metadata": {"k": 1}, "permission_mode": "plan", "model": "m", "allowed_tools": ["Read"],
    });
    let changed = world.alice.patch(&path, change).await.json();
    assert_eq!((&changed["name"], &changed["description"]), (&json!("after"), &json!("kept")));
    assert_eq!(changed["metadata"], json!({"k": 1}));
    assert_eq!(
        (&changed["permission_mode"], &changed["sdk_options"]["model"]),
        (&json!("plan"), &json!("m"))
    );
    assert_eq!(changed["allowed_tools"], json!(["Read"]));

    let removed = world.alice.patch(&path, json!({"name": null})).await.json();
    assert_eq!((&removed["name"], &removed["description"]), (&Value::Null, &json!("kept")));
    assert_eq!(world.alice.get(&path).await.json(), removed);
}

#[actix_web::test]
async fn a_deleted_session_keeps_its_history_and_takes_no_prompt() {
    let world = World::new().await;
    let id = world.session().await;
    let path = format!("{SESSIONS}/{id}");
    world.alice.post(&format!("{path}/query"), json!({"message": "hello"})).await;
    let directory = world.alice.get(&path).await.json()["working_directory"].as_str().unwrap().to_owned();
    assert!(std::fs::exists(&directory).unwrap());
    assert_eq!(world.alice.delete(&path).await.status, 204);
    assert_eq!(world.alice.delete(&path).await.status, 204, "ending it twice is fine");
    assert!(!std::fs::exists(&directory).unwrap());

    assert_eq!(world.alice.get(&path).await.json()["status"], "terminated");
    assert_eq!(world.alice.get(&format!("{path}/messages")).await.json().as_array().unwrap().len(), 2);
    let refused = world.alice.post(&format!("{path}/query"), json!({"message": "hello"})).await;
    assert_snapshot!("terminated", refused.shown());
}

#[actix_web::test]
async fn a_paused_session_refuses_prompts_until_it_is_resumed() {
    let world = World::new().await;
    let id = world.session().await;
    let path = |rest: &str| format!("{SESSIONS}/{id}{rest}");
    assert_eq!(world.alice.post(&path("/pause"), json!({})).await.json()["status"], "paused");
    let refused = world.alice.post(&path("/query"), json!({"message": "hello"})).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (409, "WRONG_STATE"));
    assert_eq!(world.alice.post(&path("/pause"), json!({})).await.status, 409);

    let resumed = world.alice.send(world.alice.request(reqwest::Method::POST, &path("/resume"))).await;
    assert_eq!((resumed.status, &resumed.json()["status"]), (200, &json!("active")));
    assert_eq!(world.alice.post(&path("/query"), json!({"message": "hello"})).await.status, 200);
}

#[actix_web::test]
async fn lists_are_filtered_sorted_and_paged() {
    let world = World::new().await;
    for name in ["red", "green", "greenish", "blue"] {
        world.session_with(json!({"name": name})).await;
    }
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let table: [(&str, &[&str]); 9] = [
        ("?sort=created_at", &["red", "green", "greenish", "blue"]),
        ("?q=GREEN&sort=created_at", &["green", "greenish"]),
        ("?status=created&sort=created_at&limit=1", &["red"]),
        ("?status=active", &[]),
        ("?mode=background", &[]),
        ("?template_id=0190a000-0000-7000-8000-000000000001", &[]),
        ("?parent_session_id=0190a000-0000-7000-8000-000000000001", &[]),
        ("?created_after=2027-01-01T00:00:00Z", &[]),
        ("?created_before=2020-01-01T00:00:00Z", &[]),
    ];
    for (query, expected) in table {
        let list = world.alice.get(&format!("{SESSIONS}{query}")).await;
        assert_eq!(list.status, 200, "{query}: {}", list.text());
        assert_eq!(names(&list.json()), expected, "{query}");
    }

    let mut seen = vec![];
    let mut next = Some(format!("{SESSIONS}?sort=created_at&limit=3"));
    while let Some(page) = next {
        let page = world.alice.get(&page).await.json();
        assert_eq!((&page["total"], &page["limit"]), (&json!(4), &json!(3)));
        seen.extend(names(&page));
        next = page["links"]["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, ["red", "green", "greenish", "blue"]);

    let skipped = world.alice.get(&format!("{SESSIONS}?sort=created_at&limit=2&skip=3")).await.json();
    assert_eq!(names(&skipped), ["blue"]);
    assert_eq!(skipped["links"]["prev"], format!("{SESSIONS}?sort=created_at&limit=2&skip=1"));
}

#[actix_web::test]
async fn histories_are_arrays_that_link_to_their_next_page() {
    let world = World::new().await;
    let id = world.session().await;
    let path = |rest: &str| format!("{SESSIONS}/{id}{rest}");
    world.alice.post(&path("/query"), json!({"message": "tool"})).await;
    assert_snapshot!("messages", world.alice.get(&path("/messages")).await.shown());
    assert_snapshot!("tool_calls", world.alice.get(&path("/tool-calls")).await.shown());
    assert_snapshot!("turns", world.alice.get(&path("/turns")).await.shown());
    assert_snapshot!("audit_trail", world.alice.get(&path("/audit-trail")).await.shown());
    assert_snapshot!("metrics", world.alice.get(&path("/metrics/current")).await.shown());

    for (history, key) in [("/messages", "id"), ("/audit-trail", "seq")] {
        let whole = world.alice.get(&path(history)).await.json();
        let mut seen = vec![];
        let mut next = Some(path(&format!("{history}?limit=2")));
        while let Some(page) = next {
            let page = world.alice.get(&page).await;
            seen.extend(page.json().as_array().unwrap().iter().map(|item| item[key].clone()));
            let link =
                page.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
            next = link.map(str::to_owned);
        }
        let ids: Vec<Value> = whole.as_array().unwrap().iter().map(|item| item[key].clone()).collect();
        assert!(ids.len() > 2, "{history}");
        assert_eq!(seen, ids, "{history}");
    }
}
