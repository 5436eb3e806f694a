//! What is turned away, and how it is told.

use crate::world::{World, cli, eventually};
use serde_json::json;

const SLOW: &str = "[[words:100]][[chunk_delay:40]]";

#[tokio::test(flavor = "multi_thread")]
async fn of_two_prompts_at_one_instant_one_wins() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let (one, two) = tokio::join!(user.query(&session, SLOW), user.query(&session, SLOW));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?}\n{two:?}");
    let loser = if one.status == 409 { one } else { two };
    loser.problem(409, "SESSION_BUSY");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_waits_its_turn_if_it_asks_to() {
    let world = World::with(&[("SESSION_QUEUE_MAX", "1")]).await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    let first = user.query_async(&session, SLOW).await;
    let queue = |message: &str| json!({ "message": message, "if_busy": "queue" });
    let path = format!("{session}/query");
    let (second, ()) = tokio::join!(user.post(&path, queue("[[text:second]]")), async {
        eventually("one waits", async || {
            let turns = user.get(&format!("{session}/turns")).await.ok().to_string();
            turns.contains("queued").then_some(())
        })
        .await;
        let refused = user.post(&path, queue("third")).await;
        refused.problem(429, "QUEUE_FULL");
        assert!(refused.headers.contains_key("retry-after"));
    });
    assert_eq!(second.ok()["content"]["text"], "second");
    assert_eq!(user.get(&first).await.ok()["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_bounded_and_an_idle_one_makes_room() {
    let settings = [("MAX_CONCURRENT_INTERACTIVE_SESSIONS", "1"), ("SLOT_QUEUE_MAX", "0")];
    let world = World::with(&settings).await;
    let user = world.admin().await;
    let (first, second) = (user.session(json!({})).await, user.session(json!({})).await);
    user.ask(&first, "remember the harbour").await;
    assert_eq!(user.ask(&second, "[[text:made room]]").await, "made room");
    let answer = user.ask(&first, "[[recall]]").await;
    assert!(answer.contains("harbour"), "{answer}");

    let turn = user.query_async(&first, SLOW).await;
    let refused = user.query(&second, "no room").await;
    refused.problem(429, "NO_FREE_SLOT");
    assert!(refused.headers.contains_key("retry-after"));
    user.turn_over(&turn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cli_the_server_says_what_to_do() {
    let world = World::with(&[("CLAUDE_CLI_PATH", "/nowhere/claude")]).await;
    let user = world.admin().await;
    let ready = user.get("/health/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.to_string().contains("CLAUDE_CLI_PATH"), "{ready:?}");
    assert_eq!(user.get("/health/live").await.status, 200);
    let session = user.session(json!({})).await;
    let refused = user.query(&session, "hello").await;
    assert_eq!(refused.status, 503);
    assert!(refused.body["detail"].as_str().unwrap().contains("CLAUDE_CLI_PATH"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cli_that_is_too_old_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("claude");
    std::fs::write(&old, "#!/bin/sh\necho '1.0.3 (Claude Code)'\n").unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let world = World::with(&[("CLAUDE_CLI_PATH", old.to_str().unwrap())]).await;
    let user = world.admin().await;
    let ready = user.get("/health/ready").await;
    assert_eq!(ready.status, 503);
    let text = ready.body.to_string();
    assert!(text.contains("1.0.3") && text.contains("2.1.330"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_pinned_cli_the_server_is_ready() {
    assert!(cli().exists(), "run `cargo xtask test`, it installs the CLI");
    let world = World::start().await;
    let ready = world.stranger().get("/health/ready").await;
    assert_eq!(ready.status, 200, "{ready:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_directory_outside_or_behind_a_link_is_refused() {
    let world = World::start().await;
    let user = world.admin().await;
    std::os::unix::fs::symlink("/etc", world.folder.path().join("link")).unwrap();
    for directory in ["/etc", "../up", "a/../../b"] {
        let refused = user.post("/sessions", json!({ "working_directory": directory })).await;
        let problem = refused.problem(422, "VALIDATION_FAILED");
        assert_eq!(problem["errors"][0]["pointer"], "/working_directory", "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_data_folder_is_turned_away() {
    let world = World::start().await;
    #[expect(clippy::disallowed_methods, reason = "the server under test is a process of its own")]
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_steward"))
        .env("DATA_DIR", world.data_dir())
        .env("API_PORT", "0")
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("another server is using it"), "{said}");
    assert_eq!(world.stranger().get("/health/live").await.status, 200, "the first one goes on");
}
