//! Stored sessions and stores with the real CLI: what it writes is read, and what is written it resumes.

use std::{fs, path::PathBuf, sync::Arc};

use sdk_runtime::{
    AgentOptions, Event, Events, RunAs, SessionStart,
    sessions::{ForkOptions, Page, Project, Role, SessionFiles, project_key},
    store::{
        DirectoryStore, MemoryStore, MirrorLossReason, SessionKey, SessionStore, SessionStoreOptions,
        StoredSessions,
    },
};
use serde_json::Value;
use uuid::Uuid;

use crate::bench::{Bench, next, result_of, say};

/// One turn in a session of its own process, which is closed.
async fn turn(bench: &Bench, options: AgentOptions, text: &str) {
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, text).await;
    result_of(&mut events, id).await;
    agent.close().await;
    assert_no_loss(&mut events).await;
}

async fn assert_no_loss(events: &mut Events) {
    while let Some(event) = events.next().await {
        assert!(!matches!(event, Event::MirrorFailed(_)), "{event:?}");
    }
}

fn files(bench: &Bench) -> SessionFiles {
    SessionFiles::of_env(&bench.options().env).unwrap()
}

/// Texts of people and the model in the conversation the model was asked with last.
fn asked(bench: &Bench) -> Vec<String> {
    let requests = bench.model.requests();
    let bodies = requests.iter().filter_map(|request| serde_json::from_slice::<Value>(&request.body).ok());
    let body = bodies.filter(|body| body["messages"].is_array()).last().unwrap();
    let mut texts = Vec::new();
    for message in body["messages"].as_array().unwrap() {
        match &message["content"] {
            Value::String(text) => texts.push(text.clone()),
            content => {
                let blocks = content.as_array().into_iter().flatten();
                texts.extend(blocks.filter_map(|block| block["text"].as_str().map(str::to_owned)));
            }
        }
    }
    // What the CLI tells the model of its surroundings is long, and not of the conversation.
    texts.retain(|text| text.len() < 300 && !text.starts_with('<') && !text.starts_with('#'));
    texts
}

fn resume(id: Uuid) -> SessionStart {
    SessionStart::Resume { id, at: None, fork: None }
}

#[tokio::test]
async fn a_session_of_the_cli_is_listed_renamed_and_forked_and_the_cli_resumes_the_fork() {
    let bench = Bench::new().await;
    // A long path outside ASCII, whose folder the CLI names itself.
    let cwd = bench.path(&format!("work/ü\u{1f600}/{}", "deep/".repeat(40)));
    fs::create_dir_all(&cwd).unwrap();
    let options = || bench.options().with_cwd(&cwd);
    let id = Uuid::new_v4();
    let new = options().with_session(SessionStart::New { id });
    let (agent, mut events) = bench.start(new).await;
    for text in ["plum [[text:noted plum]]", "pear [[text:noted pear]]", "fig [[text:noted fig]]"] {
        let prompt = say(&agent, text).await;
        result_of(&mut events, prompt).await;
    }
    let files = files(&bench).in_project(Project::OnlyCwd(cwd.clone()));
    files.rename(id, "while it runs").await.unwrap();
    agent.close().await;

    let listed = files.list(Project::OnlyCwd(cwd.clone()), Page::all()).await.unwrap();
    assert_eq!(listed.iter().map(|info| info.session_id).collect::<Vec<_>>(), [id]);
    assert_eq!(listed[0].title.as_deref(), Some("while it runs"));
    assert_eq!(listed[0].first_prompt.as_deref(), Some("plum [[text:noted plum]]"));
    assert_eq!(listed[0].cwd, Some(cwd.canonicalize().unwrap()));
    let project = project_key(&cwd);
    assert!(bench.path("config/projects").join(&project).is_dir(), "{project}");

    let messages = files.messages(id, Page::all()).await.unwrap();
    let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant].repeat(3));
    let fork = files.fork(id, ForkOptions::default().with_up_to(&messages[3].uuid)).await.unwrap();
    assert_eq!(files.info(fork).await.unwrap().unwrap().summary, "while it runs (fork)");
    turn(&bench, options().with_session(resume(fork)), "and now [[text:ok]]").await;
    let texts = asked(&bench);
    let wanted = ["plum [[text:noted plum]]", "noted plum", "pear [[text:noted pear]]", "noted pear"];
    assert_eq!(texts[..4], wanted, "{texts:?}");
    assert_eq!(texts[4..], ["and now [[text:ok]]"], "{texts:?}");
    assert_eq!(files.messages(fork, Page::all()).await.unwrap().len(), 6);
    assert_eq!(files.messages(id, Page::all()).await.unwrap().len(), 6, "the source is as it was");

    files.delete(id).await.unwrap();
    let error = crate::bench::start_error(options().with_session(resume(id))).await;
    assert!(error.to_string().contains("No conversation found"), "{error}");
    bench.assert_nothing_left().await;
}

/// What every transcript of a store says, by subpath.
async fn kept(store: &dyn SessionStore, project: &str, id: Uuid) -> Vec<(String, Vec<Value>)> {
    let main = SessionKey::main(project, id.to_string());
    let mut subpaths = store.list_subkeys(project, &id.to_string()).await.unwrap();
    subpaths.sort();
    let mut kept = vec![(String::new(), store.load(&main).await.unwrap().unwrap())];
    for subpath in subpaths {
        let entries = store.load(&main.clone().with_subpath(&subpath)).await.unwrap().unwrap();
        kept.push((subpath, entries));
    }
    kept
}

fn uuids(entries: &[Value]) -> Vec<String> {
    entries.iter().filter_map(|entry| entry["uuid"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn an_agent_that_runs_as_another_user_resumes_from_a_store() {
    // Nobody but root runs an agent as another user.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = Uuid::new_v4();
    let store = SessionStoreOptions::new(Arc::new(MemoryStore::new()));
    let options = bench.options_for(RunAs { uid: 65_534, gid: 65_534 }).with_session_store(store);
    let new = options.clone().with_session(SessionStart::New { id });
    turn(&bench, new, "plum [[text:noted plum]]").await;
    fs::remove_dir_all(bench.path("config/projects")).unwrap();
    turn(&bench, options.with_session(resume(id)), "go on [[text:still the plum]]").await;
    let texts = asked(&bench);
    assert!(texts.iter().any(|text| text == "noted plum"), "{texts:?}");
    bench.assert_nothing_left().await;
}

const WITH_SUBAGENT: &str = r#"plum [[tool:Agent {"description":"d","prompt":"[[text:found it]]","subagent_type":"general-purpose","run_in_background":false}]][[next]][[text:noted plum]]"#;

#[tokio::test]
async fn a_mirrored_session_with_a_subagent_goes_on_elsewhere_from_each_store() {
    let folder = tempfile::tempdir().unwrap();
    let stores: [Arc<dyn SessionStore>; 2] =
        [Arc::new(MemoryStore::new()), Arc::new(DirectoryStore::new(folder.path()))];
    for store in stores {
        let bench = Bench::new().await;
        let id = Uuid::new_v4();
        let with = || SessionStoreOptions::new(store.clone()).with_project_key("moved".to_owned());
        let options = bench.options().with_session(SessionStart::New { id }).with_session_store(with());
        turn(&bench, options, WITH_SUBAGENT).await;

        // Everything the CLI wrote is in the store, line by line.
        let before = kept(&*store, "moved", id).await;
        assert_eq!(before.len(), 2, "the session and its subagent: {before:?}");
        let project = bench.path("config/projects").join(project_key(&bench.path("work")));
        for (subpath, entries) in &before {
            let path = match subpath.as_str() {
                "" => project.join(format!("{id}.jsonl")),
                subpath => project.join(id.to_string()).join(format!("{subpath}.jsonl")),
            };
            let text = fs::read_to_string(path).unwrap();
            let written: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let entries: Vec<Value> =
                entries.iter().filter(|entry| entry["type"] != "agent_metadata").cloned().collect();
            assert_eq!(uuids(&entries), uuids(&written));
            assert!(entries.iter().all(|entry| written.contains(entry)));
            // What the CLI notes of its own requests it does not report; it is no part of the conversation.
            let mut missing = written.iter().filter(|entry| !entries.contains(entry));
            let is_of_a_request = |entry: &Value| entry["type"].as_str().unwrap().starts_with("api-request");
            assert!(missing.all(is_of_a_request));
        }
        let sessions = StoredSessions::new(store.clone(), "moved");
        let agents = sessions.subagents(id).await.unwrap();
        let messages = sessions.subagent_messages(id, &agents[0], Page::all()).await.unwrap();
        assert!(messages[0].parent_tool_use_id.is_some());

        // Elsewhere: another machine has neither the files nor the paths.
        fs::remove_dir_all(bench.path("config")).unwrap();
        fs::create_dir(bench.path("elsewhere")).unwrap();
        let elsewhere = |session: SessionStart| {
            let mut options = bench.options().with_session(session).with_session_store(with());
            options.cwd = bench.path("elsewhere");
            let config = bench.path("other-config").to_string_lossy().into_owned();
            options.env.insert("CLAUDE_CONFIG_DIR".to_owned(), config);
            options
        };
        turn(&bench, elsewhere(resume(id)), "go on [[text:still the plum]]").await;
        let texts = asked(&bench);
        assert!(texts.iter().any(|text| text == WITH_SUBAGENT), "{texts:?}");
        assert!(texts.iter().any(|text| text == "noted plum"), "{texts:?}");

        // What is new was added once, behind what was there.
        let after = kept(&*store, "moved", id).await;
        let (old, new) = (uuids(&before[0].1), uuids(&after[0].1));
        assert_eq!(new[..old.len()], old);
        assert!(new.len() > old.len());
        let mut once = new.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), new.len());

        // A fork, made in the store, and the newest session, which it is.
        let messages = sessions.messages(id, Page::all()).await.unwrap();
        let at = messages.iter().rposition(|message| message.message.to_string().contains("noted plum"));
        let up_to = messages[at.unwrap()].uuid.clone();
        let fork = sessions.fork(id, ForkOptions::default().with_up_to(up_to)).await.unwrap();
        turn(&bench, elsewhere(SessionStart::Continue { fork: None }), "again [[text:forked]]").await;
        let texts = asked(&bench);
        assert!(texts.iter().any(|text| text == "noted plum"), "{texts:?}");
        assert!(!texts.iter().any(|text| text == "still the plum"), "{texts:?}");
        let forked = sessions.messages(fork, Page::all()).await.unwrap();
        assert!(forked.iter().any(|message| message.message.to_string().contains("forked")));

        // A fork made by the CLI, from the store into the store.
        let cli_fork = Uuid::new_v4();
        let session = SessionStart::Resume { id, at: None, fork: Some(cli_fork) };
        turn(&bench, elsewhere(session), "third [[text:by the CLI]]").await;
        let forked = sessions.messages(cli_fork, Page::all()).await.unwrap();
        assert!(forked.iter().any(|message| message.message.to_string().contains("by the CLI")));
        let leftovers: Vec<PathBuf> = fs::read_dir(std::env::temp_dir())
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.join("projects").join(project_key(&bench.path("elsewhere"))).exists())
            .collect();
        assert_eq!(leftovers, Vec::<PathBuf>::new());
        bench.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn a_killed_agent_leaves_in_the_store_what_was_heard_of_it() {
    let bench = Bench::new().await;
    let store = Arc::new(MemoryStore::new());
    let id = Uuid::new_v4();
    let options = SessionStoreOptions::new(store.clone()).with_project_key("p".to_owned());
    let options = bench.options().with_session(SessionStart::New { id }).with_session_store(options);
    let (agent, mut events) = bench.start(options).await;
    say(&agent, r#"plum [[tool:Bash {"command":"true"}]][[next]][[hang]]"#).await;
    // The frame with the tool's result says that what came before it was written and reported.
    while !matches!(next(&mut events).await, Event::Frame(frame) if frame.kind() == "user") {}
    agent.kill().await;
    let messages = StoredSessions::new(store, "p").messages(id, Page::all()).await.unwrap();
    assert!(messages[0].message.to_string().contains("plum"));
    bench.assert_nothing_left().await;
}

/// A disk that takes no more cannot be had without being root; a transcript that takes no more can.
#[tokio::test]
async fn when_the_transcript_cannot_be_written_the_turn_goes_on_and_it_is_heard() {
    let bench = Bench::new().await;
    let store = Arc::new(MemoryStore::new());
    let session = Uuid::new_v4();
    let options = bench.options().with_session(SessionStart::New { id: session });
    let (agent, mut events) =
        bench.start(options.with_session_store(SessionStoreOptions::new(store.clone()))).await;
    let id = say(&agent, "plum [[text:on]]").await;
    result_of(&mut events, id).await;
    let path = files(&bench).transcript_path(session).await.unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let id = say(&agent, "pear [[text:and on]]").await;
    let mut said = None;
    loop {
        match next(&mut events).await {
            Event::Frame(frame) if frame.kind() == "assistant" => said = frame.uuid().map(str::to_owned),
            Event::Finished { prompts, result } if prompts.contains(&id) => {
                assert_eq!(result.text.as_deref(), Some("and on"));
                break;
            }
            Event::Exited(said) => panic!("{}", said.words()),
            _ => {}
        }
    }
    agent.close().await;
    let mut lost = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::MirrorFailed(loss) = event {
            lost.push(*loss);
        }
    }
    assert!(matches!(lost[0].reason, MirrorLossReason::NeverReported), "{lost:?}");
    assert_eq!(lost[0].uuids, Vec::from_iter(said));
    let key = SessionKey::main(project_key(&bench.path("work")), session.to_string());
    assert_eq!(lost[0].key, key);
    let kept = store.load(&key).await.unwrap().unwrap();
    assert!(kept.iter().any(|entry| entry.to_string().contains("plum")), "what was written is kept");
}
