//! Resuming from a store with the scripted agent: the folder it runs in, and stores that do not help.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use nix::unistd::{getegid, geteuid};
use sdk_runtime::{
    Agent, AgentOptions, Containment, Error, RunAs, SessionStart,
    sessions::{SessionError, project_key},
    store::{MemoryStore, SessionKey, SessionStore, SessionStoreOptions, StoreError, StoredSession},
    testing::ScriptedLauncher,
};
use serde_json::{Value, json};
use uuid::Uuid;

const CWD: &str = "/nowhere/demo";

fn user(text: &str) -> Value {
    json!({
        "parentUuid": null, "isSidechain": false, "type": "user", "uuid": Uuid::new_v4(),
        "message": { "role": "user", "content": text },
    })
}

fn options(store: Arc<dyn SessionStore>, session: SessionStart) -> AgentOptions {
    AgentOptions::default().with_cwd(CWD).with_session(session).with_session_store(
        SessionStoreOptions::new(store)
            .with_project_key("p".to_owned())
            .with_load_timeout(Duration::from_secs(1)),
    )
}

fn resume(id: Uuid) -> SessionStart {
    SessionStart::Resume { id, at: None, fork: None }
}

async fn keep(store: &MemoryStore, id: Uuid, entries: &[Value]) {
    store.append(&SessionKey::main("p", id.to_string()), entries).await.unwrap();
}

/// The configuration folder and the arguments of the agent started last.
fn started(launcher: &ScriptedLauncher) -> (Option<PathBuf>, Vec<String>) {
    let agent = launcher.last_agent();
    (agent.invocation().env.get("CLAUDE_CONFIG_DIR").map(PathBuf::from), agent.args())
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_agent_runs_in_a_private_folder_that_goes_with_it() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(".credentials.json"), r#"{"claudeAiOauth":{"refreshToken":"hush"}}"#).unwrap();
    fs::write(home.path().join("settings.json"), r#"{"apiKeyHelper":"h","enabledPlugins":{}}"#).unwrap();
    let store = Arc::new(MemoryStore::new());
    let id = Uuid::new_v4();
    let entries = [user("one"), json!({ "type": "custom-title", "customTitle": "t" })];
    keep(&store, id, &entries).await;
    let side = SessionKey::main("p", id.to_string()).with_subpath("subagents/agent-a");
    let metadata = |done: bool| json!({ "type": "agent_metadata", "toolUseId": "t", "finished": done });
    let mut said = user("side");
    said["isSidechain"] = json!(true);
    store.append(&side, &[metadata(false), said.clone(), metadata(true)]).await.unwrap();

    let launcher = ScriptedLauncher::new();
    let env = BTreeMap::from([("CLAUDE_CONFIG_DIR".to_owned(), home.path().to_str().unwrap().to_owned())]);
    let (agent, _events) = Agent::start(&launcher, options(store, resume(id)).with_env(env)).await.unwrap();
    let (folder, args) = started(&launcher);
    let folder = folder.unwrap();
    assert!(args.contains(&format!("--resume={id}")), "{args:?}");
    assert_ne!(folder, home.path());
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    let project = folder.join("projects").join(project_key(CWD.as_ref()));
    assert_eq!(lines(&project.join(format!("{id}.jsonl"))), entries);
    let beside = project.join(id.to_string()).join("subagents");
    assert_eq!(lines(&beside.join("agent-a.jsonl")), [said]);
    let sidecar = fs::read_to_string(beside.join("agent-a.meta.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&sidecar).unwrap(),
        json!({ "toolUseId": "t", "finished": true })
    );
    assert!(!fs::read_to_string(folder.join(".credentials.json")).unwrap().contains("hush"));
    assert_eq!(fs::read_to_string(folder.join("settings.json")).unwrap(), r#"{"apiKeyHelper":"h"}"#);
    agent.close().await;
    assert!(!folder.exists());
}

#[tokio::test]
async fn the_folder_belongs_to_the_user_the_agent_runs_as() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("settings.json"), "{}").unwrap();
    let store = Arc::new(MemoryStore::new());
    let id = Uuid::new_v4();
    keep(&store, id, &[user("one")]).await;
    let side = SessionKey::main("p", id.to_string()).with_subpath("subagents/agent-a");
    store.append(&side, &[user("side")]).await.unwrap();
    // Only root may give anything away; others may give it to themselves.
    let (uid, gid) =
        if geteuid().is_root() { (65_534, 65_534) } else { (geteuid().as_raw(), getegid().as_raw()) };
    let launcher = ScriptedLauncher::new();
    let env = BTreeMap::from([("CLAUDE_CONFIG_DIR".to_owned(), home.path().to_str().unwrap().to_owned())]);
    let options = options(store, resume(id))
        .with_env(env)
        .with_containment(Containment::default().with_user(Some(RunAs { uid, gid })));
    let (agent, _events) = Agent::start(&launcher, options).await.unwrap();
    let folder = started(&launcher).0.unwrap();
    let mut found = vec![folder.clone()];
    let mut looked_at = 0;
    while let Some(path) = found.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (uid, gid), "{}", path.display());
        if metadata.is_dir() {
            found.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        looked_at += 1;
    }
    assert_eq!(looked_at, 8, "the folder, settings, two transcripts and what they lie in");
    agent.close().await;
    assert!(!folder.exists());
}

#[tokio::test]
async fn the_folder_goes_also_when_the_start_fails_or_the_handle_is_dropped() {
    let store = Arc::new(MemoryStore::new());
    let id = Uuid::new_v4();
    keep(&store, id, &[user("one")]).await;
    let launcher = ScriptedLauncher::new().exits_at_start(1, "no");
    Agent::start(&launcher, options(store.clone(), resume(id))).await.unwrap_err();
    assert!(!started(&launcher).0.unwrap().exists());

    let launcher = ScriptedLauncher::new().silent_at_start();
    let start = Agent::start(&launcher, options(store.clone(), resume(id)));
    let folder = tokio::select! {
        _ = start => panic!("it was silent"),
        _ = launcher.launched(1) => started(&launcher).0.unwrap(),
    };
    gone(&folder).await;

    let launcher = ScriptedLauncher::new();
    let (agent, events) = Agent::start(&launcher, options(store, resume(id))).await.unwrap();
    let folder = started(&launcher).0.unwrap();
    assert!(folder.exists());
    drop((agent, events));
    gone(&folder).await;
}

async fn gone(folder: &Path) {
    let gone = async {
        while folder.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
}

#[tokio::test]
async fn continuing_takes_the_newest_conversation_of_the_store() {
    let store = Arc::new(MemoryStore::new());
    let (old, new, side, empty) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    keep(&store, old, &[user("old")]).await;
    keep(&store, new, &[user("new")]).await;
    let mut sidechain = user("side");
    sidechain["isSidechain"] = json!(true);
    keep(&store, side, &[sidechain]).await;
    keep(&store, empty, &[json!({ "type": "custom-title", "customTitle": "x" })]).await;
    store.append(&SessionKey::main("p", "no uuid"), &[user("x")]).await.unwrap();
    let launcher = ScriptedLauncher::new();
    let fork = Uuid::new_v4();
    let session = SessionStart::Continue { fork: Some(fork) };
    let (agent, _events) = Agent::start(&launcher, options(store, session)).await.unwrap();
    let (_, args) = started(&launcher);
    assert!(args.contains(&format!("--resume={new}")), "{args:?}");
    assert!(args.contains(&format!("--session-id={fork}")), "{args:?}");
    agent.close().await;
}

#[tokio::test]
async fn what_the_store_does_not_have_is_left_to_the_cli() {
    let launcher = ScriptedLauncher::new();
    let id = Uuid::new_v4();
    let store = Arc::new(MemoryStore::new());
    let (agent, _events) = Agent::start(&launcher, options(store.clone(), resume(id))).await.unwrap();
    let (folder, args) = started(&launcher);
    assert_eq!(folder, None);
    assert!(args.contains(&format!("--resume={id}")), "{args:?}");
    agent.close().await;
    let session = SessionStart::Continue { fork: None };
    let (agent, _events) = Agent::start(&launcher, options(store, session)).await.unwrap();
    let (_, args) = started(&launcher);
    assert!(!args.iter().any(|arg| arg.starts_with("--continue") || arg.starts_with("--resume")), "{args:?}");
    agent.close().await;
}

/// A store that hands out what no store should.
enum Bad {
    Fails,
    Hangs,
    Panics,
    NotObjects,
    NoMessage,
    Escapes,
}

#[async_trait]
impl SessionStore for Bad {
    async fn append(&self, _key: &SessionKey, _entries: &[Value]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load(&self, _key: &SessionKey) -> Result<Option<Vec<Value>>, StoreError> {
        match self {
            Self::Fails => Err("the store is away".into()),
            Self::Hangs => std::future::pending().await,
            Self::Panics => panic!("on purpose"),
            Self::NotObjects => Ok(Some(vec![user("x"), json!("garbage")])),
            Self::NoMessage => Ok(Some(vec![json!({ "type": "mode" })])),
            Self::Escapes => Ok(Some(vec![user("x")])),
        }
    }

    async fn list(&self, _project_key: &str) -> Result<Vec<StoredSession>, StoreError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _key: &SessionKey) -> Result<(), StoreError> {
        Ok(())
    }

    async fn list_subkeys(&self, _project: &str, _session: &str) -> Result<Vec<String>, StoreError> {
        Ok(vec!["../../../.bashrc".to_owned()])
    }
}

#[tokio::test]
async fn a_store_that_does_not_help_is_named_and_nothing_is_started() {
    for (bad, words) in [
        (Bad::Fails, "load p/"),
        (Bad::Hangs, "within 1s"),
        (Bad::Panics, "load p/"),
        (Bad::NotObjects, "entry 1 is no object"),
        (Bad::NoMessage, "there is no message in it"),
        (Bad::Escapes, "leads out of the session"),
    ] {
        let launcher = ScriptedLauncher::new();
        let error =
            Agent::start(&launcher, options(Arc::new(bad), resume(Uuid::new_v4()))).await.unwrap_err();
        let Error::SessionStore { source } = error else {
            panic!("{error:?}");
        };
        assert!(source.to_string().contains(words), "{source}");
        assert!(!matches!(*source, SessionError::Io { .. }), "{source}");
        assert!(launcher.agents().is_empty());
    }
}
