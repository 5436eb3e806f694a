//! Conversations that outlive their folders, and forks of them: what counts is what the model is sent.

use crate::{
    client::Client,
    crash::{Kept, on_both},
    world::{World, eventually},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// What the model was sent last, as texts in their order, each with whose it is.
fn told(world: &World) -> Vec<(String, String)> {
    let requests = world.model.requests();
    let body: Value = serde_json::from_slice(&requests.last().unwrap().body).unwrap();
    let mut texts = vec![];
    for message in body["messages"].as_array().unwrap() {
        let role = message["role"].as_str().unwrap().to_owned();
        match &message["content"] {
            Value::String(text) => texts.push((role, text.clone())),
            blocks => {
                for block in blocks.as_array().unwrap() {
                    let text = match block["type"].as_str().unwrap() {
                        "text" => block["text"].as_str().unwrap().to_owned(),
                        kind => format!("<{kind}>"),
                    };
                    texts.push((role.clone(), text));
                }
            }
        }
    }
    texts
}

/// Whether the model was sent this.
fn was_told(world: &World, text: &str) -> bool {
    told(world).iter().any(|(_, told)| told.contains(text))
}

fn id_of(session: &str) -> String {
    session.rsplit('/').next().unwrap().to_owned()
}

fn directory(world: &World, session: &str) -> PathBuf {
    let mut users = fs::read_dir(world.data_dir().join("workspaces")).unwrap().flatten();
    users.find_map(|user| Some(user.path().join(id_of(session))).filter(|folder| folder.is_dir())).unwrap()
}

fn agent_folder(world: &World, session: &str) -> PathBuf {
    world.data_dir().join("agents").join(id_of(session))
}

fn staged(world: &World) -> usize {
    fs::read_dir(world.data_dir().join("workspaces/.forks")).map_or(0, Iterator::count)
}

async fn fork(user: &Client, session: &str, body: Value) -> (String, Value) {
    let fork = user.post(&format!("{session}/fork"), body).await;
    assert_eq!(fork.status, 201, "{fork:?}");
    let path = format!("/sessions/{}", fork.body["id"].as_str().unwrap());
    assert_eq!(fork.headers["location"], format!("/api/v1{path}").as_str());
    (path, fork.body)
}

async fn messages(user: &Client, session: &str) -> Vec<Value> {
    user.get(&format!("{session}/messages?limit=1000")).await.ok().as_array().unwrap().clone()
}

/// Takes the session's process away, as being idle for long does.
async fn put_to_sleep(user: &Client, session: &str) {
    user.post(&format!("{session}/pause"), json!({})).await.ok();
    user.post(&format!("{session}/resume"), json!({})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_when_everything_local_is_gone() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash", "Agent"] })).await;
    user.ask(&session, "remember the lighthouse").await;
    let task = r#"{"description": "look", "prompt": "[[text:the subagent was here]]", "subagent_type": "general-purpose"}"#;
    user.ask(&session, &format!("ask somebody [[tool:Agent {task}]][[next]][[text:asked]]")).await;
    let projects = |folder: PathBuf| {
        let project = fs::read_dir(folder.join("projects")).unwrap().flatten().next().unwrap();
        let beside = project.path().join(id_of(&session));
        (
            fs::read(beside.with_extension("jsonl")).unwrap(),
            fs::read_dir(beside.join("subagents")).unwrap().count(),
        )
    };
    put_to_sleep(&user, &session).await;
    let (before, subagents) = projects(agent_folder(&world, &session));
    assert!(subagents > 0, "a subagent wrote something down");
    fs::remove_dir_all(agent_folder(&world, &session)).unwrap();
    fs::remove_dir_all(directory(&world, &session)).unwrap();

    user.ask(&session, "and now? [[text:I remember]]").await;
    assert!(was_told(&world, "remember the lighthouse"), "{:?}", told(&world));
    assert!(was_told(&world, "ask somebody"), "{:?}", told(&world));
    put_to_sleep(&user, &session).await;
    let (after, subagents_after) = projects(agent_folder(&world, &session));
    assert!(after.len() > before.len(), "its transcript is as long as it was, and longer");
    assert_eq!(subagents_after, subagents, "those of its subagents are back too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_from_before_transcripts_were_kept_goes_on_and_is_kept_from_then_on() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    user.ask(&session, "remember the windmill").await;
    world.stop().await;
    world.sql("DELETE FROM transcript_entries; UPDATE messages SET entry_uuid = NULL");
    world.launch().await;
    let user = world.admin().await;
    let early = user.post(&format!("{session}/fork"), json!({ "fork_at_message": 1 })).await;
    early.problem(409, "NOT_FORKABLE");
    let (whole, _) = fork(&user, &session, json!({})).await;
    user.ask(&whole, "[[text:yes]]").await;
    assert!(was_told(&world, "remember the windmill"), "{:?}", told(&world));
    user.ask(&session, "[[text:yes]]").await;
    put_to_sleep(&user, &session).await;
    fs::remove_dir_all(agent_folder(&world, &session)).unwrap();
    user.ask(&session, "[[text:yes]]").await;
    assert!(was_told(&world, "remember the windmill"), "{:?}", told(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_remembers_up_to_its_message_and_both_go_on_alone() {
    let world = World::start().await;
    let user = world.admin().await;
    let parent = user.session(json!({ "name": "parent", "allowed_tools": ["Bash"] })).await;
    user.ask(&parent, "first: the lighthouse").await;
    user.ask(&parent, "second: the windmill").await;
    user.ask(&parent, "third: the harbour").await;
    fs::create_dir_all(directory(&world, &parent).join("deep/deeper")).unwrap();
    fs::write(directory(&world, &parent).join("deep/deeper/note"), "of the parent").unwrap();
    let before = messages(&user, &parent).await;
    assert_eq!(before.len(), 6);

    let (early, shown) = fork(&user, &parent, json!({ "fork_at_message": 2, "name": "early" })).await;
    assert_eq!(
        (&shown["mode"], &shown["status"], &shown["is_fork"]),
        (&json!("forked"), &json!("created"), &json!(true))
    );
    assert_eq!((&shown["parent_session_id"], &shown["fork_at_message"]), (&json!(id_of(&parent)), &json!(2)));
    assert_eq!((&shown["name"], &shown["allowed_tools"]), (&json!("early"), &json!(["Bash"])));
    assert_eq!(shown["working_directory_source"], "current");
    assert_eq!(shown["message_count"], 2);
    for figure in ["tool_call_count", "total_cost_usd", "total_input_tokens", "total_output_tokens"] {
        assert_eq!(shown[figure].as_f64(), Some(0.0), "{figure}: the parent's are not counted again");
    }
    let copied = messages(&user, &early).await;
    assert_eq!(copied.len(), 2);
    for (copy, original) in copied.iter().zip(&before) {
        assert_eq!(
            (&copy["sequence_number"], &copy["content"]),
            (&original["sequence_number"], &original["content"])
        );
        assert_ne!(copy["id"], original["id"]);
    }
    assert_eq!(
        fs::read_to_string(directory(&world, &early).join("deep/deeper/note")).unwrap(),
        "of the parent"
    );
    assert_eq!(staged(&world), 0);

    user.ask(&early, "[[text:on]]").await;
    assert!(was_told(&world, "first: the lighthouse"), "{:?}", told(&world));
    assert!(!was_told(&world, "second: the windmill") && !was_told(&world, "third"), "{:?}", told(&world));
    fs::write(directory(&world, &early).join("deep/deeper/note"), "of the fork").unwrap();
    user.ask(&parent, "[[text:on]]").await;
    assert!(was_told(&world, "third: the harbour") && !was_told(&world, "(fork)"), "{:?}", told(&world));
    assert_eq!(
        fs::read_to_string(directory(&world, &parent).join("deep/deeper/note")).unwrap(),
        "of the parent"
    );
    let (parent_now, early_now) = (user.get(&parent).await.ok(), user.get(&early).await.ok());
    assert_eq!(
        (parent_now["message_count"].clone(), early_now["message_count"].clone()),
        (json!(8), json!(4))
    );
    assert!(early_now["total_input_tokens"].as_u64().unwrap() > 0);
    assert!(early_now["total_input_tokens"].as_u64() < parent_now["total_input_tokens"].as_u64());

    // A fork of the fork, in the part that it has from its parent and in its own.
    let (again, _) = fork(&user, &early, json!({ "fork_at_message": 1 })).await;
    user.ask(&again, "[[text:on]]").await;
    assert!(was_told(&world, "first: the lighthouse"), "{:?}", told(&world));
    let (whole, _) = fork(&user, &early, json!({ "include_working_directory": false })).await;
    user.ask(&whole, "[[text:on]]").await;
    assert_eq!(user.get(&whole).await.ok()["working_directory_source"], "empty");
    assert_eq!(fs::read_dir(directory(&world, &whole)).unwrap().count(), 0);
    let (fresh, _) = fork(&user, &parent, json!({ "fork_at_message": 0 })).await;
    user.ask(&fresh, "[[text:on]]").await;
    assert!(!was_told(&world, "the lighthouse"), "{:?}", told(&world));

    let tree = user.get(&format!("{again}/tree")).await.ok();
    let members: Vec<_> =
        tree["members"].as_array().unwrap().iter().map(|member| member["id"].clone()).collect();
    assert_eq!(members, [&parent, &early, &fresh, &again, &whole].map(|session| json!(id_of(session))));
    let events = user.events(&early, 0).await.until("notice").await;
    assert_eq!((events.len(), &events[0].data["what"]), (1, &json!("forked")));
    let beyond = user.post(&format!("{parent}/fork"), json!({ "fork_at_message": 100 })).await;
    beyond.problem(422, "VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_between_a_tool_call_and_its_result_leaves_what_the_model_accepts() {
    let world = World::start().await;
    let user = world.admin().await;
    let parent = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    let calls =
        r#"[[tool:Bash {"command": "echo one"}]][[tool:Bash {"command": "echo two"}]][[next]][[text:ran]]"#;
    user.ask(&parent, &format!("run them {calls}")).await;
    let all = messages(&user, &parent).await;
    for message in &all {
        let number = message["sequence_number"].as_u64().unwrap();
        let (at, _) = fork(&user, &parent, json!({ "fork_at_message": number })).await;
        user.ask(&at, "[[text:on]]").await;
        let requests = world.model.requests();
        let body: Value = serde_json::from_slice(&requests.last().unwrap().body).unwrap();
        assert_answered(&body, number);
        assert!(was_told(&world, "run them"), "{number}: {:?}", told(&world));
    }
}

/// As the Messages API demands: each tool that was called has a result in the next message, and no result is without.
fn assert_answered(body: &Value, number: u64) {
    let messages = body["messages"].as_array().unwrap();
    let ids = |message: Option<&Value>, kind: &str, field: &str| {
        let blocks = message.and_then(|message| message["content"].as_array()).cloned().unwrap_or_default();
        let blocks = blocks.into_iter().filter(|block| block["type"] == kind);
        let mut ids: Vec<String> = blocks.map(|block| block[field].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    for (index, message) in messages.iter().enumerate() {
        let called = ids(Some(message), "tool_use", "id");
        let answered = ids(messages.get(index + 1), "tool_result", "tool_use_id");
        assert_eq!(called, answered, "cut at {number}, message {index}: {body:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_session_can_be_forked_whatever_its_state() {
    let world = World::start().await;
    let user = world.admin().await;
    let parent = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(&parent, "remember the lighthouse").await;

    // While a turn runs: what is complete comes along, the tool that runs does not.
    let turn = user.query_async(&parent, r#"wait [[tool:Bash {"command": "touch began; sleep 600"}]]"#).await;
    let began = directory(&world, &parent).join("began");
    eventually("the tool runs", async || began.exists().then_some(())).await;
    let (running, shown) = fork(&user, &parent, json!({})).await;
    assert!(shown["fork_at_message"].as_u64().unwrap() >= 2, "{shown}");
    user.ask(&running, "[[text:on]]").await;
    assert!(was_told(&world, "remember the lighthouse"), "{:?}", told(&world));
    assert!(directory(&world, &running).join("began").exists(), "the files as they were at that moment");
    assert_eq!(user.get(&turn).await.ok()["status"], "running", "the parent goes on");

    // Set aside.
    user.post(&format!("{parent}/pause"), json!({})).await.ok();
    let (paused, _) = fork(&user, &parent, json!({})).await;
    user.ask(&paused, "[[text:on]]").await;
    assert!(was_told(&world, "remember the lighthouse"), "{:?}", told(&world));
    let resumed = user.post(&format!("{parent}/resume"), json!({ "fork": true })).await.ok();
    assert_eq!((&resumed["parent_session_id"], &resumed["mode"]), (&json!(id_of(&parent)), &json!("forked")));
    assert_eq!(user.get(&parent).await.ok()["status"], "paused", "the parent stays as it is");

    // Ended, and its files with it.
    user.delete(&parent).await;
    let (ended, shown) = fork(&user, &parent, json!({})).await;
    assert_eq!(shown["working_directory_source"], "empty");
    user.ask(&ended, "[[text:on]]").await;
    assert!(was_told(&world, "remember the lighthouse"), "{:?}", told(&world));

    // A background session that is done, by way of a prompt to a fork of it.
    let task = json!({ "mode": "background", "initial_message": "remember the windmill" });
    let background = user.session(task).await;
    eventually("it is done", async || {
        (user.get(&background).await.ok()["status"] == "completed").then_some(())
    })
    .await;
    let answer = user
        .post(&format!("{background}/query"), json!({ "message": "[[text:on]]", "fork": true }))
        .await
        .ok();
    assert_ne!(answer["session_id"], json!(id_of(&background)));
    assert!(was_told(&world, "remember the windmill"), "{:?}", told(&world));
    assert_eq!(user.get(&background).await.ok()["status"], "completed");

    // And by way of creating a session.
    let body = json!({
        "mode": "forked", "parent_session_id": id_of(&background), "initial_message": "[[text:by itself]]",
        "working_directory": "project", "timeout_seconds": 77,
    });
    let created = user.session(body).await;
    let shown = eventually("it has worked on its message", async || {
        let shown = user.get(&created).await.ok();
        (shown["message_count"] == 4).then_some(shown)
    })
    .await;
    assert_eq!(
        (&shown["working_directory_source"], &shown["timeout_seconds"]),
        (&json!("shared"), &json!(77))
    );
    let (shares, shown) = fork(&user, &created, json!({})).await;
    assert_eq!(
        shown["working_directory_source"], "shared",
        "a directory that was there before is shared again"
    );
    assert_eq!(
        user.get(&shares).await.ok()["working_directory"],
        user.get(&created).await.ok()["working_directory"]
    );
    let (copied, _) = fork(&user, &created, json!({ "include_working_directory": true })).await;
    assert_eq!(user.get(&copied).await.ok()["working_directory_source"], "current");
}

/// Forks on a server that is killed at the place, where the fork may or may not be stored yet. No half fork is left.
async fn a_fork_killed_at(kept: Kept, point: &str, is_there: bool) {
    let (stops, own) = (format!("{point}=sleep(600000)"), kept.own_database().await);
    let mut settings = vec![("FAILPOINTS", stops.as_str())];
    settings.extend(own.as_ref().map(|own| ("DATABASE_URL", own.url())));
    let mut world = World::with(&settings).await;
    let user = world.admin().await;
    let parent = user.session(json!({})).await;
    user.ask(&parent, "remember the lighthouse").await;
    fs::write(directory(&world, &parent).join("note"), "x").unwrap();
    let folders = || {
        let users = fs::read_dir(world.data_dir().join("workspaces")).unwrap().flatten();
        let ours = users.filter(|user| !user.file_name().to_str().unwrap().starts_with('.'));
        ours.map(|user| fs::read_dir(user.path()).unwrap().count()).sum::<usize>()
    };
    assert_eq!(folders(), 1);
    let path = format!("{parent}/fork");
    let forking = user.post(&path, json!({}));
    tokio::select! {
        answer = forking => panic!("{point} was passed: {answer:?}"),
        () = eventually("the fork's files are in place", async || (folders() == 2).then_some(())) => {}
    }
    let listed = async |user: &Client| user.get("/sessions").await.ok()["total"].as_u64().unwrap();
    if is_there {
        // The server stands still, and answers or not.
        let stored = async || match &own {
            Some(own) => own.texts("SELECT id::text FROM sessions").await.len(),
            None => {
                let count = "SELECT count(*) FROM sessions";
                let count: i64 = world.database().query_row(count, [], |row| row.get(0)).unwrap();
                usize::try_from(count).unwrap()
            }
        };
        eventually("the fork is stored", async || (stored().await == 2).then_some(())).await;
    }
    assert_eq!(staged(&world), 1, "{point}: it is known to be on its way");
    world.kill().await;
    world.set("FAILPOINTS", "");
    world.launch().await;

    let user = world.admin().await;
    assert_eq!(listed(&user).await, if is_there { 2 } else { 1 }, "{point}");
    let users = fs::read_dir(world.data_dir().join("workspaces")).unwrap().flatten();
    let ours = users.filter(|user| !user.file_name().to_str().unwrap().starts_with('.'));
    let left: usize = ours.map(|user| fs::read_dir(user.path()).unwrap().count()).sum();
    assert_eq!(left, if is_there { 2 } else { 1 }, "{point}: no files without a session");
    assert_eq!(staged(&world), 0, "{point}");
    if is_there {
        let forks = user.get(&format!("/sessions?parent_session_id={}", id_of(&parent))).await.ok();
        let path = format!("/sessions/{}", forks["items"][0]["id"].as_str().unwrap());
        assert_eq!(fs::read_to_string(directory(&world, &path).join("note")).unwrap(), "x");
        user.ask(&path, "[[text:on]]").await;
        assert!(was_told(&world, "remember the lighthouse"), "{:?}", told(&world));
    }
    let (again, _) = fork(&user, &parent, json!({})).await;
    user.ask(&again, "[[text:on]]").await;
    assert!(was_told(&world, "remember the lighthouse"), "{:?}", told(&world));
}

on_both! {
    a_server_killed_when_the_files_of_a_fork_were_copied => a_fork_killed_at("fork.files_copied", false);
    a_server_killed_when_the_transcript_of_a_fork_was_copied => a_fork_killed_at("fork.transcript_copied", true);
}

/// What the agent wrote and the store did not get is brought there when the server is back.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_in_the_file_alone_is_brought_to_the_store() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "allowed_tools": ["Bash"] })).await;
    user.ask(&session, "remember the lighthouse").await;
    user.query_async(&session, r#"wait [[tool:Bash {"command": "touch began; sleep 600"}]]"#).await;
    let began = directory(&world, &session).join("began");
    eventually("the tool runs", async || began.exists().then_some(())).await;
    world.kill().await;
    eventually("its agents are gone", async || world.agent_processes().is_empty().then_some(())).await;
    world.sql("DELETE FROM transcript_entries WHERE position > 3");
    world.launch().await;
    fs::remove_dir_all(agent_folder(&world, &session)).unwrap();
    let user = world.admin().await;
    user.ask(&session, "[[text:on]]").await;
    assert!(was_told(&world, "remember the lighthouse") && was_told(&world, "wait "), "{:?}", told(&world));
}
