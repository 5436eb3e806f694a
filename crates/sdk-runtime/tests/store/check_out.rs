//! Checking out: who is right when the files and the store differ, and what links in the folder are good for.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
};

use sdk_runtime::{
    Agent, AgentOptions, SessionStart,
    sessions::project_key,
    store::{MemoryStore, ResumeFrom, SessionKey, SessionStore, SessionStoreOptions, check_out},
    testing::ScriptedLauncher,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

const CWD: &str = "/nowhere/demo";

struct World {
    store: Arc<MemoryStore>,
    folder: TempDir,
    id: Uuid,
}

impl World {
    fn new() -> Self {
        Self { store: Arc::default(), folder: tempfile::tempdir().unwrap(), id: Uuid::new_v4() }
    }

    fn options(&self) -> SessionStoreOptions {
        SessionStoreOptions::new(self.store.clone())
            .with_project_key("p".to_owned())
            .with_resume_from(ResumeFrom::Files)
    }

    async fn check_out(&self) -> bool {
        check_out(&self.options(), self.id, self.folder.path(), CWD.as_ref()).await.unwrap()
    }

    fn key(&self) -> SessionKey {
        SessionKey::main("p", self.id.to_string())
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join("projects").join(project_key(CWD.as_ref()))
    }

    fn file(&self) -> PathBuf {
        self.project().join(format!("{}.jsonl", self.id))
    }

    fn subagent(&self) -> PathBuf {
        self.project().join(format!("{}/subagents/agent-a.jsonl", self.id))
    }

    async fn keep(&self, key: &SessionKey, entries: &[Value]) {
        self.store.append(key, entries).await.unwrap();
    }

    async fn stored(&self, key: &SessionKey) -> Vec<Value> {
        self.store.load(key).await.unwrap().unwrap_or_default()
    }
}

fn user(text: &str) -> Value {
    json!({ "parentUuid": null, "isSidechain": false, "type": "user", "uuid": text, "message": { "content": text } })
}

fn note(text: &str) -> Value {
    json!({ "type": "last-prompt", "lastPrompt": text })
}

fn put(path: &Path, entries: &[Value]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, entries.iter().map(|entry| format!("{entry}\n")).collect::<String>()).unwrap();
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_the_store_has_is_written_for_the_agent_with_its_subagents() {
    let world = World::new();
    assert!(!world.check_out().await, "nothing was ever said");
    assert!(!world.folder.path().join("projects").exists());
    world.keep(&world.key(), &[user("a"), note("a")]).await;
    let side = world.key().with_subpath("subagents/agent-a");
    world.keep(&side, &[json!({ "type": "agent_metadata", "toolUseId": "t" }), user("side")]).await;
    assert!(world.check_out().await);
    assert_eq!(lines(&world.file()), [user("a"), note("a")]);
    assert_eq!(lines(&world.subagent()), [user("side")]);
    let sidecar = fs::read_to_string(world.subagent().with_extension("meta.json")).unwrap();
    assert_eq!(sidecar, r#"{"toolUseId":"t"}"#);
    // Once more there is nothing to do: not even what has no uuid comes twice.
    let before = fs::metadata(world.file()).unwrap().modified().unwrap();
    assert!(world.check_out().await);
    assert_eq!(world.stored(&world.key()).await.len(), 2);
    assert_eq!(world.stored(&side).await.len(), 2);
    assert_eq!(fs::metadata(world.file()).unwrap().modified().unwrap(), before);

    let launcher = ScriptedLauncher::new();
    let start = SessionStart::Resume { id: world.id, at: None, fork: None };
    let options =
        AgentOptions::default().with_cwd(CWD).with_session(start).with_session_store(world.options());
    let (agent, _events) = Agent::start(&launcher, options).await.unwrap();
    let invocation = launcher.last_agent();
    assert!(!invocation.invocation().env.contains_key("CLAUDE_CONFIG_DIR"), "it resumes where it always is");
    assert!(invocation.args().contains(&"--session-mirror".to_owned()), "{:?}", invocation.args());
    agent.close().await;
}

#[tokio::test]
async fn what_an_agent_wrote_and_did_not_get_to_the_store_is_brought() {
    let world = World::new();
    world.keep(&world.key(), &[user("a"), note("1")]).await;
    put(&world.file(), &[user("a"), note("1"), user("b"), note("1"), note("2")]);
    put(&world.subagent(), &[user("side")]);
    assert!(world.check_out().await);
    assert_eq!(world.stored(&world.key()).await, [user("a"), note("1"), user("b"), note("1"), note("2")]);
    assert_eq!(world.stored(&world.key().with_subpath("subagents/agent-a")).await, [user("side")]);
}

#[tokio::test]
async fn a_session_that_went_on_elsewhere_is_as_the_store_says() {
    let world = World::new();
    world.keep(&world.key(), &[user("a"), user("there")]).await;
    put(&world.file(), &[user("a"), user("here, by an agent that nobody wanted any more")]);
    assert!(world.check_out().await);
    assert_eq!(lines(&world.file()), [user("a"), user("there")]);
    assert_eq!(world.stored(&world.key()).await, [user("a"), user("there")]);
}

#[tokio::test]
async fn a_transcript_under_another_project_is_found_and_moved() {
    let world = World::new();
    put(&world.folder.path().join(format!("projects/-old/{}.jsonl", world.id)), &[user("a")]);
    assert!(world.check_out().await);
    assert_eq!(lines(&world.file()), [user("a")]);
    assert_eq!(world.stored(&world.key()).await, [user("a")]);
}

#[tokio::test]
async fn links_lead_nowhere() {
    let secret = tempfile::tempdir().unwrap();
    let world = World::new();
    let name = format!("{}.jsonl", world.id);
    put(&secret.path().join("k").join(&name), &[user("somebody else's")]);
    put(&secret.path().join("subagents/agent-a.jsonl"), &[user("somebody else's")]);
    // The folder of all projects, the transcript, and the folder beside it.
    symlink(secret.path(), world.folder.path().join("projects")).unwrap();
    assert!(!world.check_out().await);
    fs::remove_file(world.folder.path().join("projects")).unwrap();
    fs::create_dir_all(world.project()).unwrap();
    symlink(secret.path().join("k").join(&name), world.file()).unwrap();
    assert!(!world.check_out().await);
    fs::remove_file(world.file()).unwrap();
    put(&world.file(), &[user("a")]);
    symlink(secret.path(), world.project().join(world.id.to_string())).unwrap();
    assert!(world.check_out().await);
    assert_eq!(world.store.keys(), [world.key()], "nothing of somebody else's was read");

    // And nothing is written through one.
    world.keep(&world.key(), &[user("b")]).await;
    world.keep(&world.key().with_subpath("subagents/agent-a"), &[user("side")]).await;
    fs::remove_file(world.file()).unwrap();
    symlink(secret.path().join("target"), world.file()).unwrap();
    assert!(world.check_out().await);
    assert!(!secret.path().join("target").exists());
    assert_eq!(lines(&world.file()), [user("a"), user("b")]);
    assert_eq!(lines(&world.subagent()), [user("side")]);
    assert_eq!(lines(&secret.path().join("subagents/agent-a.jsonl")), [user("somebody else's")]);
}
