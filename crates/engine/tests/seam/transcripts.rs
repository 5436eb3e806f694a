//! Transcripts on their way to the store, and what happens where they do not get there.

use crate::world::{World, all, caller};
use async_trait::async_trait;
use domain::{
    Clock, Counters, Generation, Origin, Session, SessionId, SessionMode, SessionSpec, SessionStatus,
    SystemClock, TurnStatus,
    ports::{History as _, Sessions as _, Transcripts as _},
    transcript::TranscriptKey,
};
use engine::{Error, ForkDraft, SessionDraft, SessionTranscripts};
use sdk_runtime::{
    store::{SessionKey, SessionStore, StoreError, StoredSession},
    testing::{Say, ScriptedLauncher, ScriptedPrompt, store_conformance},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use testkit::MemoryStore;
use uuid::Uuid;

/// Every session's transcripts as one store: a project is a session. The suite calls them what it likes; here they
/// have ids.
#[derive(Default)]
struct Projects {
    store: MemoryStore,
    sessions: Mutex<HashMap<String, SessionId>>,
    conversations: Mutex<HashMap<String, Uuid>>,
}

impl Projects {
    async fn of(&self, project: &str) -> (SessionTranscripts, String) {
        let known = self.sessions.lock().unwrap().get(project).copied();
        let id = match known {
            Some(id) => id,
            None => {
                let session = session();
                self.store.create(&session, &Origin::system()).await.unwrap();
                self.sessions.lock().unwrap().insert(project.to_owned(), session.id);
                session.id
            }
        };
        let bridge = SessionTranscripts::new(
            Arc::new(self.store.clone()),
            Arc::new(SystemClock),
            id,
            Generation::FIRST,
        );
        (bridge, id.to_string())
    }

    fn id_of(&self, name: &str) -> String {
        self.conversations.lock().unwrap().entry(name.to_owned()).or_insert_with(Uuid::new_v4).to_string()
    }

    async fn at(&self, key: &SessionKey) -> (SessionTranscripts, SessionKey) {
        let (bridge, project) = self.of(&key.project_key).await;
        let main = SessionKey::main(project, self.id_of(&key.session_id));
        (
            bridge,
            match &key.subpath {
                Some(subpath) => main.with_subpath(subpath),
                None => main,
            },
        )
    }
}

#[async_trait]
impl SessionStore for Projects {
    async fn append(&self, key: &SessionKey, entries: &[Value]) -> Result<(), StoreError> {
        let (bridge, key) = self.at(key).await;
        bridge.append(&key, entries).await
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Vec<Value>>, StoreError> {
        let (bridge, key) = self.at(key).await;
        bridge.load(&key).await
    }

    async fn list(&self, project: &str) -> Result<Vec<StoredSession>, StoreError> {
        let (bridge, project) = self.of(project).await;
        let listed = bridge.list(&project).await?;
        let names = self.conversations.lock().unwrap();
        let name = |id: &str| names.iter().find(|(_, other)| other.to_string() == id).unwrap().0.clone();
        Ok(listed.into_iter().map(|one| StoredSession::new(name(&one.session_id), one.modified)).collect())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), StoreError> {
        let (bridge, key) = self.at(key).await;
        bridge.delete(&key).await
    }

    async fn list_subkeys(&self, project: &str, session: &str) -> Result<Vec<String>, StoreError> {
        let (bridge, project) = self.of(project).await;
        bridge.list_subkeys(&project, &self.id_of(session)).await
    }
}

fn session() -> Session {
    let now = SystemClock.now();
    Session {
        id: SessionId::new(),
        user_id: caller().user_id,
        name: None,
        description: None,
        mode: SessionMode::Interactive,
        status: SessionStatus::Created,
        spec: SessionSpec {
            working_directory: "/work".to_owned(),
            owns_directory: true,
            whereabouts: Default::default(),
            directory_source: None,
            allowed_tools: vec![],
            system_prompt: None,
            sdk_options: domain::SdkOptions::default(),
            include_partial_messages: false,
            max_retries: 0,
            retry_delay_ms: 0,
            timeout_seconds: 1,
            hooks_enabled: vec![],
            permission_mode: "default".to_owned(),
            custom_policies: vec![],
        },
        metadata: json!({}),
        parent_session_id: None,
        fork_at_message: None,
        template_id: None,
        current_turn_id: None,
        operation: None,
        archive_id: None,
        server_id: None,
        generation: Generation::FIRST,
        agent: None,
        counters: Counters::default(),
        error_message: None,
        budget_paused_at: None,
        created_at: now,
        updated_at: now,
        started_at: None,
        completed_at: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sessions_transcripts_are_a_session_store() {
    let broken = store_conformance(async || Projects::default()).await;
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Reports an entry as written down, as the CLI does.
fn write_down(say: &Say, entry: &Value) {
    let file = format!("/home/projects/-work/{}.jsonl", say.agent().session_id());
    say.frame(&json!({ "type": "transcript_mirror", "filePath": file, "entries": [entry] }));
}

fn prompt_entry(prompt: &ScriptedPrompt, say: &Say) -> Value {
    let (uuid, conversation) = (prompt.id(), say.agent().session_id());
    json!({ "type": "user", "uuid": uuid, "sessionId": conversation, "message": { "content": prompt.text() } })
}

/// Agents that write down what they are told.
fn writing() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        write_down(&say, &prompt_entry(&prompt, &say));
        say.text("done");
    })
}

/// Whether it is asked for the first time.
fn first() -> impl Fn() -> bool {
    let left = AtomicUsize::new(1);
    move || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// What is stored of the session's conversation.
async fn stored(world: &World, session: SessionId) -> Vec<Value> {
    let conversation = world.get(session).await.agent.unwrap().id;
    let key = TranscriptKey { session_id: session, conversation, subpath: None };
    let stored = world.store.transcript_after(&key, 0).await.unwrap().entries;
    stored.iter().map(|entry| serde_json::from_str(entry).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_writes_is_stored_with_the_end_of_its_turn() {
    let world = World::new(writing());
    let session = world.session().await;
    world.ask(session, "one").await;
    let [entry] = stored(&world, session).await.try_into().unwrap();
    assert_eq!(world.faults.lines_with_ends.load(Ordering::SeqCst), 1, "in a unit of work of its own");
    let prompt = &world.store.messages(session, &all()).await.unwrap().items[0];
    assert_eq!(entry["uuid"], json!(prompt.id), "it is told under the id of its message");
    assert_eq!(prompt.entry_uuid, Some(prompt.id.0));
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_with_the_end_is_not_stored_again() {
    // A note has no uuid, by which it would be known again.
    let world = World::new(ScriptedLauncher::new().on_prompt(|_, say| async move {
        write_down(&say, &json!({ "type": "mode", "mode": "default" }));
        say.text("done");
    }));
    let session = world.session().await;
    for turns in 1..=2 {
        world.ask(session, "one").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(stored(&world, session).await.len(), turns);
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_cannot_be_stored_with_the_end_are_stored_by_themselves_and_in_their_order() {
    let world = World::new(writing());
    let session = world.session().await;
    for refuses in [true, false] {
        world.faults.refuses_lines.store(refuses, Ordering::SeqCst);
        assert_eq!(world.ask(session, &format!("{refuses}")).await.status, TurnStatus::Completed);
    }
    let told: Vec<_> =
        stored(&world, session).await.iter().map(|entry| entry["message"]["content"].clone()).collect();
    assert_eq!(told, [json!("true"), json!("false")]);
    assert_eq!(world.launcher.agents().len(), 1, "it was not to blame");
}

#[tokio::test(start_paused = true)]
async fn the_lines_of_an_agent_that_goes_are_stored_by_its_runtime() {
    let first = first();
    let world = World::new(ScriptedLauncher::new().on_prompt(move |prompt, say| {
        let dies = first();
        async move {
            write_down(&say, &prompt_entry(&prompt, &say));
            if dies {
                say.exit(3, "out of memory").await;
            }
            say.text("done");
        }
    }));
    let session = world.session().await;
    assert_eq!(world.ask(session, "one").await.status, TurnStatus::Completed);
    let all = world.store.transcripts(session).await.unwrap();
    assert_eq!(all.iter().map(|one| one.length).sum::<u64>(), 2, "{all:?}");
    assert_eq!(world.faults.lines_with_ends.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_told_again_has_another_id_and_that_is_noted() {
    let first = first();
    let world = World::new(ScriptedLauncher::new().on_prompt(move |_, say| {
        let dies = first();
        async move {
            if dies {
                say.exit(3, "out of memory").await;
            }
            say.text("done");
        }
    }));
    let session = world.session().await;
    assert_eq!(world.ask(session, "one").await.status, TurnStatus::Completed);
    let agents = world.launcher.agents();
    let told: Vec<Value> =
        agents.iter().flat_map(|agent| agent.prompts()).map(|one| one["uuid"].clone()).collect();
    let prompt = &world.store.messages(session, &all()).await.unwrap().items[0];
    assert_eq!(told, [json!(prompt.id), json!(prompt.entry_uuid)]);
    assert_ne!(told[0], told[1]);
}

#[tokio::test(start_paused = true)]
async fn a_fork_takes_its_parents_settings_and_what_the_request_says_instead() {
    let world = World::new(writing());
    let parent = world
        .session_of(SessionDraft {
            name: Some("one".to_owned()),
            allowed_tools: Some(vec!["Read".to_owned()]),
            system_prompt: Some("be brief".to_owned()),
            timeout_seconds: Some(7),
            metadata: Some(json!({ "ticket": 1 })),
            ..SessionDraft::default()
        })
        .await;
    world.ask(parent, "one").await;
    let fork = world.manager.fork(&world.caller, parent, ForkDraft::default()).await.unwrap();
    let original = world.get(parent).await;
    assert_eq!((fork.name.as_deref(), fork.mode), (Some("one (fork)"), SessionMode::Forked));
    let spec = SessionSpec {
        working_directory: fork.spec.working_directory.clone(),
        whereabouts: fork.spec.whereabouts.clone(),
        directory_source: fork.spec.directory_source,
        ..original.spec.clone()
    };
    assert_eq!((&fork.spec, &fork.metadata), (&spec, &original.metadata));
    assert_ne!(fork.spec.working_directory, original.spec.working_directory);

    let session = SessionDraft {
        sdk_options: Some(domain::SdkOptions {
            append_system_prompt: Some("and kind".to_owned()),
            ..domain::SdkOptions::default()
        }),
        allowed_tools: Some(vec![]),
        ..SessionDraft::default()
    };
    let draft = ForkDraft { session, ..ForkDraft::default() };
    let fork = world.manager.fork(&world.caller, parent, draft).await.unwrap();
    assert_eq!((fork.spec.system_prompt, fork.spec.allowed_tools), (None, vec![]), "what it says instead");

    let session = SessionDraft { permission_mode: Some("never".to_owned()), ..SessionDraft::default() };
    let refused =
        world.manager.fork(&world.caller, parent, ForkDraft { session, ..ForkDraft::default() }).await;
    assert!(
        matches!(&refused, Err(Error::Invalid(faults)) if faults[0].pointer == "/permission_mode"),
        "{refused:?}"
    );
    let beyond = ForkDraft { at_message: Some(3), ..ForkDraft::default() };
    let refused = world.manager.fork(&world.caller, parent, beyond).await;
    assert!(
        matches!(&refused, Err(Error::Invalid(faults)) if faults[0].pointer == "/fork_at_message"),
        "{refused:?}"
    );
    let stranger = world.manager.fork(&caller(), parent, ForkDraft::default()).await;
    assert!(matches!(stranger, Err(Error::NotFound("session"))), "{stranger:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_transcript_does_not_have_is_no_place_to_fork() {
    // These agents say things and write nothing down.
    let world = World::new(ScriptedLauncher::new().on_prompt(|_, say| async move { say.text("done") }));
    let parent = world.session().await;
    world.ask(parent, "one").await;
    world.ask(parent, "two").await;
    let fork = async |at_message| {
        world.manager.fork(&world.caller, parent, ForkDraft { at_message, ..ForkDraft::default() }).await
    };
    let refused = fork(Some(2)).await;
    assert!(matches!(&refused, Err(Error::NotForkable(why)) if why.contains("message 2")), "{refused:?}");
    assert!(
        fork(Some(1)).await.unwrap().agent.is_none(),
        "a prompt that no agent wrote down, nobody was told"
    );
    assert!(fork(Some(0)).await.unwrap().agent.is_none());
}
