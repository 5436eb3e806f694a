//! Archives with the real agent: a conversation that is put away, deleted here, and gone on with.

use crate::{
    client::Client,
    crash::{Crash, Kept, journalled, on_both},
    world::{World, eventually},
};
use serde_json::json;
use std::{fs, path::Path};

const WRITE: &str = r#"[[tool:Bash {"command":"echo kept > note.txt"}]][[next]][[text:written]]"#;

/// A session that was told something and has written a file.
async fn worked(user: &Client) -> String {
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(&session, "remember the lighthouse").await;
    assert_eq!(user.ask(&session, WRITE).await, "written");
    session
}

async fn reaches(user: &Client, session: &str, status: &str) {
    eventually(&format!("the session is {status}"), async || {
        let shown = user.get(session).await.ok();
        (shown["status"] == status && shown["operation"].is_null()).then_some(())
    })
    .await;
}

/// The model is sent what was said before, and the file is there.
async fn goes_on(world: &World, user: &Client, session: &str) {
    assert_eq!(fs::read_to_string(world.workspace(session).join("note.txt")).unwrap(), "kept\n");
    let answer = user.ask(session, "[[recall]]").await;
    assert!(answer.contains("lighthouse"), "{answer}");
}

fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_conversation_goes_on_after_everything_local_was_deleted() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = worked(&user).await;
    let archived = user.post(&format!("{session}/archive"), json!({})).await.ok();
    assert_eq!(archived["status"], "completed", "{archived}");
    assert!(world.agent_processes().is_empty(), "its agent is closed");
    for folder in ["workspaces", "agents"] {
        let folder = world.data_dir().join(folder);
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
    }
    let download = user.get(&format!("{session}/archive/download")).await;
    assert_eq!(download.status, 200);
    user.query(&session, "[[recall]]").await.problem(409, "WRONG_STATE");
    let restored = user.post(&format!("{session}/archive/restore"), json!({})).await.ok();
    assert_eq!(restored["status"], "active", "{restored}");
    goes_on(&world, &user, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_of_an_archived_session_has_its_conversation_and_its_files() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = worked(&user).await;
    user.post(&format!("{session}/archive"), json!({})).await.ok();
    let forked = user.post(&format!("{session}/fork"), json!({})).await;
    assert_eq!((forked.status, &forked.body["working_directory_source"]), (201, &json!("archive")));
    let fork = format!("/sessions/{}", forked.body["id"].as_str().unwrap());
    goes_on(&world, &user, &fork).await;
    assert_eq!(user.get(&session).await.ok()["status"], "archived", "its parent stays as it is");
}

/// Archives a session on a server that is killed at the place, and looks at what its next life makes of it.
async fn an_archive_killed_at(kept: Kept, point: &str) {
    let mut crash = Crash::at(kept, point).await;
    let user = crash.world.admin().await;
    let session = worked(&user).await;
    let asked = user.request(reqwest::Method::POST, &format!("{session}/archive"));
    let asked = asked.header("prefer", "respond-async").json(&json!({})).send().await.unwrap();
    let begun: serde_json::Value = asked.json().await.unwrap();
    let user = crash.strike().await;
    reaches(&user, &session, "archived").await;
    let archive = user.get(&format!("{session}/archive")).await.ok();
    assert_eq!((&archive["id"], &archive["status"]), (&begun["id"], &json!("completed")), "{archive}");
    // The object and its manifest, and no parts of what the killed server had begun.
    let key = archive["archive_path"].as_str().unwrap();
    let folder = crash.world.data_dir().join("archives").join(key).parent().unwrap().to_owned();
    let stored = entries(&folder);
    assert_eq!(stored.len(), 2, "{stored:?}");
    eventually("what is stored is removed from the disk", async || {
        let left = entries(&crash.world.data_dir().join("agents"));
        left.is_empty().then_some(())
    })
    .await;
    let changes = journalled(&user, &session, "status_change").await;
    let archived =
        changes.iter().filter(|change| change["data"]["to"] == "archived" || change["to"] == "archived");
    assert_eq!(archived.count(), 1, "it is archived once: {changes:?}");
    user.post(&format!("{session}/archive/restore"), json!({})).await.ok();
    reaches(&user, &session, "active").await;
    goes_on(&crash.world, &user, &session).await;
    crash.nothing_is_lost().await;
}

/// Restores a session on a server that is killed at the place.
async fn a_restore_killed_at(kept: Kept, point: &str) {
    let mut crash = Crash::at(kept, point).await;
    let user = crash.world.admin().await;
    let session = worked(&user).await;
    let archived = user.post(&format!("{session}/archive"), json!({})).await.ok();
    assert_eq!(archived["status"], "completed", "{archived}");
    let asked = user.request(reqwest::Method::POST, &format!("{session}/archive/restore"));
    asked.header("prefer", "respond-async").send().await.unwrap();
    let user = crash.strike().await;
    reaches(&user, &session, "active").await;
    goes_on(&crash.world, &user, &session).await;
    crash.nothing_is_lost().await;
    let workspaces = crash.world.workspace(&session);
    let beside = entries(workspaces.parent().unwrap());
    assert_eq!(beside.len(), 1, "nothing half unpacked is left: {beside:?}");
}

on_both! {
    a_server_killed_when_an_archive_was_claimed => an_archive_killed_at("archive.claimed");
    a_server_killed_when_half_of_an_archive_was_stored => an_archive_killed_at("archive.half_stored");
    a_server_killed_when_an_archive_was_stored => an_archive_killed_at("archive.stored");
    a_server_killed_when_an_archive_was_completed => an_archive_killed_at("archive.completed");
    a_server_killed_when_half_of_a_session_was_unpacked => a_restore_killed_at("restore.half_unpacked");
    a_server_killed_when_a_session_was_unpacked_and_not_in_place => a_restore_killed_at("restore.before_rename");
}
