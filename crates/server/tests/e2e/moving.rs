//! A session that goes from one server to another and back, with PostgreSQL and S3 between them: its files are those it
//! had last, or it is said how old they are.

use crate::{
    client::Client,
    crash::journalled,
    two_servers::{LONG, Two, in_s3},
    world::World,
};
use serde_json::{Value, json};
use std::fs;

/// A turn that writes this into the file `note.txt`.
fn writes(text: &str) -> String {
    format!(r#"[[tool:Bash {{"command":"echo {text} > note.txt"}}]][[next]][[text:written]]"#)
}

fn read(world: &World, session: &str, file: &str) -> Option<String> {
    fs::read_to_string(world.workspace(session).join(file)).ok()
}

/// What the journal says of where the session's files came from.
async fn notices(user: &Client, session: &str) -> Vec<Value> {
    let mut notices = journalled(user, session, "notice").await;
    notices.retain(|notice| {
        let what = notice["what"].as_str().unwrap_or_default();
        what.starts_with("workspace") || what == "restored"
    });
    notices
}

/// How often these words are in the longest conversation that the model was sent.
fn told_the_model(world: &World, words: &str) -> usize {
    let requests = world.model.requests();
    let bodies = requests
        .iter()
        .filter(|one| one.path.starts_with("/v1/messages"))
        .map(|one| String::from_utf8_lossy(&one.body).into_owned());
    bodies.map(|body| body.matches(words).count()).max().unwrap_or_default()
}

/// A session that has written at the first server and then at the second, which began without its files and still runs.
async fn went_to_the_second(two: &mut Two) -> String {
    let session = two.at_first.session(json!({ "allowed_tools": ["Bash"] })).await;
    assert_eq!(two.at_first.ask(&session, &writes("first")).await, "written");
    two.first.stop().await;
    assert_eq!(two.at_second.ask(&session, &writes("second")).await, "written");
    let notices = notices(&two.at_second, &session).await;
    assert_eq!(notices.iter().map(|notice| &notice["what"]).collect::<Vec<_>>(), ["workspace_missing"]);
    assert_eq!(read(&two.second, &session, "note.txt").as_deref(), Some("second\n"));
    assert_eq!(read(&two.first, &session, "note.txt").as_deref(), Some("first\n"), "it is left behind");
    session
}

async fn two_on_postgresql_and_s3(database: &testkit::PostgresDatabase) -> Two {
    let s3 = in_s3();
    let mut settings: Vec<_> = s3.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("DATABASE_URL", database.url()));
    Two::with(LONG, &settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_session_back_has_the_files_that_the_other_server_archived_and_keeps_its_own() {
    let database = testkit::PostgresDatabase::create().await;
    let mut two = two_on_postgresql_and_s3(&database).await;
    let session = went_to_the_second(&mut two).await;
    let archived = two.at_second.post(&format!("{session}/archive"), json!({})).await.ok();
    assert_eq!(archived["status"], "completed", "{archived}");
    two.at_second.post(&format!("{session}/archive/restore"), json!({})).await.ok();
    assert_eq!(two.at_second.ask(&session, "[[text:one more]]").await, "one more");
    two.second.stop().await;

    two.first.launch().await;
    let at_first = two.first.admin().await;
    // Before anything runs there, what it has is nobody's answer.
    at_first.get(&format!("{session}/files")).await.problem(503, "FILES_ELSEWHERE");
    at_first.post(&format!("{session}/fork"), json!({})).await.problem(503, "FILES_ELSEWHERE");
    at_first.ask(&session, "[[text:back]]").await;
    assert_eq!(told_the_model(&two.first, "as it was 2 messages ago"), 1);
    assert_eq!(read(&two.first, &session, "note.txt").as_deref(), Some("second\n"));
    let here = two.first.workspace(&session);
    let left = here.with_file_name(format!("{}.at-message-", here.file_name().unwrap().to_str().unwrap()));
    let kept = fs::read_dir(left.parent().unwrap()).unwrap().flatten().map(|entry| entry.path());
    let kept: Vec<_> =
        kept.filter(|path| path.to_str().unwrap().starts_with(left.to_str().unwrap())).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(fs::read_to_string(kept[0].join("note.txt")).unwrap(), "first\n");
    let told = notices(&at_first, &session).await;
    assert_eq!(told.last().unwrap()["archive_id"], archived["id"]);

    // The next one is not told again, and the end of the session takes all of it along.
    at_first.ask(&session, "[[text:as usual]]").await;
    assert_eq!(told_the_model(&two.first, "has no newer files of it than these"), 1);
    assert_eq!(notices(&at_first, &session).await, told);
    assert_eq!(at_first.delete(&session).await.status, 204);
    assert!(!kept[0].exists() && !here.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_session_back_without_newer_files_says_how_old_they_are() {
    let database = testkit::PostgresDatabase::create().await;
    let mut two = two_on_postgresql_and_s3(&database).await;
    let session = went_to_the_second(&mut two).await;
    two.second.stop().await;
    two.first.launch().await;
    let at_first = two.first.admin().await;
    let refused = at_first.post(&format!("{session}/archive"), json!({})).await;
    let why = refused.problem(409, "NOT_ARCHIVED");
    assert!(why["detail"].as_str().unwrap().contains("not on this server"), "{why}");
    at_first.ask(&session, "[[text:back]]").await;
    assert_eq!(told_the_model(&two.first, "has no newer files of it than these"), 1);
    assert_eq!(read(&two.first, &session, "note.txt").as_deref(), Some("first\n"));
    let notices = notices(&at_first, &session).await;
    let last = notices.last().unwrap();
    // After the prompt and the tool call of the first turn, when the second server was asked.
    assert_eq!(last["what"], "workspace_outdated", "{notices:?}");
    assert!(last["at_message"].as_u64().unwrap() > 1, "{last}");
    assert_eq!(notices.len(), 2, "{notices:?}");
}
