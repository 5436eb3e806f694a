//! Giving up what is around an agent: spares, retries, stores, recordings and session files.

use std::{fs, io, sync::Arc, time::Duration};

use sdk_runtime::{
    Agent, AgentOptions, Prompt, SparePool, SpareSettings,
    recording::Recorder,
    retry::{BreakerState, CircuitBreaker, Retry},
    sessions::{ForkOptions, Page, SessionFiles},
    store::{MemoryStore, SessionStoreOptions},
    testing::ScriptedLauncher,
};
use serde_json::json;
use uuid::Uuid;

use crate::giving_up::{at_each_point, give_up};

#[tokio::test(start_paused = true)]
async fn a_claim_costs_one_spare_at_most() {
    let parking = tempfile::tempdir().unwrap();
    let launcher = ScriptedLauncher::new().with_initialize("hooks_applied", json!(true));
    let settings = SpareSettings::new(parking.path()).with_size(1);
    let pool = SparePool::new(Arc::new(launcher.clone()), settings);
    let options = AgentOptions::default().with_cwd("/srv/demo");
    pool.prepare(&options);
    at_each_point(|polls| {
        let (pool, options, launcher) = (pool.clone(), options.clone(), launcher.clone());
        async move {
            pool.ready(1).await;
            let is_done = give_up(pool.claim(options), polls).await.is_some();
            // What was claimed is dropped as well.
            while launcher.alive().len() != 1 || pool.stats().ready != 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            is_done
        }
    })
    .await;
    at_each_point(|polls| {
        let pool = pool.clone();
        async move { give_up(pool.shutdown(), polls).await.is_some() }
    })
    .await;
    assert!(launcher.alive().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_no_breaker_waiting() {
    at_each_point(|polls| async move {
        let breaker = CircuitBreaker::new(1, Duration::from_secs(1), Duration::from_secs(1));
        let retry = Retry::default().with_breaker(Some(breaker.clone()));
        breaker.begin().unwrap().failed();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        let launcher = ScriptedLauncher::new();
        let started = give_up(retry.start(&launcher, &AgentOptions::default()), polls).await;
        let is_done = started.is_some();
        // The attempt that was to decide was given up: the next one decides.
        let (agent, mut events) = retry.start(&launcher, &AgentOptions::default()).await.unwrap();
        let turned = give_up(retry.prompt(&agent, &mut events, "x", |_| {}), polls).await;
        let is_done = is_done && turned.is_some();
        retry.prompt(&agent, &mut events, "x", |_| {}).await.unwrap();
        assert_eq!(breaker.state(), BreakerState::Closed);
        is_done
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_and_a_wait_for_a_recording_can_be_begun_again() {
    let recorder = Recorder::to_sink(ScriptedLauncher::new(), |_| Ok(Box::new(io::sink())));
    let store = SessionStoreOptions::new(Arc::new(MemoryStore::default()));
    let folder = tempfile::tempdir().unwrap();
    let options = AgentOptions::default().with_cwd(folder.path()).with_session_store(store);
    let (agent, _events) = Agent::start(&recorder, options).await.unwrap();
    agent.prompt("x").await.unwrap();
    at_each_point(|polls| {
        let agent = agent.clone();
        async move { give_up(agent.flush_session_store(), polls).await.is_some() }
    })
    .await;
    assert!(give_up(recorder.finished(), 3).await.is_none(), "the agent lives");
    agent.close().await;
    drop(agent);
    recorder.finished().await.unwrap();
    assert!(give_up(recorder.finished(), 1).await.is_some());
}

#[tokio::test]
async fn session_files_are_whole_whenever_an_edit_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let (id, message) = (Uuid::new_v4(), Uuid::new_v4());
    let project = folder.path().join("projects/-srv-demo");
    fs::create_dir_all(&project).unwrap();
    let line = json!({
        "type": "user", "uuid": message, "parentUuid": null, "sessionId": id, "cwd": "/srv/demo",
        "timestamp": "2026-01-01T00:00:00.000Z", "message": { "role": "user", "content": "one" },
    });
    fs::write(project.join(format!("{id}.jsonl")), format!("{line}\n")).unwrap();
    let files = SessionFiles::new(folder.path());
    for polls in 0..20 {
        give_up(files.rename(id, "a title"), polls).await;
        give_up(files.tag(id, Some("tag")), polls).await;
        give_up(files.fork(id, ForkOptions::default()), polls).await;
        give_up(files.messages(id, Page::all()), polls).await;
    }
    // Work that was begun goes on behind; an edit of one's own comes after it.
    files.rename(id, "the last title").await.unwrap();
    assert_eq!(files.messages(id, Page::all()).await.unwrap().len(), 1);
    let listed = files.list(sdk_runtime::sessions::Project::Any, Page::all()).await.unwrap();
    assert!(listed.iter().any(|session| session.session_id == id));
    for session in listed {
        assert_eq!(files.messages(session.session_id, Page::all()).await.unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_prompt_is_no_duplicate_of_itself() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.result_with(json!({
            "is_error": true, "terminal_reason": "api_error", "api_error_status": 529, "num_turns": 1,
        }));
    });
    let (agent, mut events) = Agent::start(&launcher, AgentOptions::default()).await.unwrap();
    let id = Uuid::new_v4();
    let prompt = Prompt::text("x").with_id(id).verbatim();
    let turn = Retry::default().prompt(&agent, &mut events, prompt, |_| {}).await.unwrap();
    assert_eq!(turn.attempts, 3);
    let prompts = launcher.last_agent().prompts();
    assert_eq!(prompts.iter().filter(|prompt| prompt["uuid"] == id.to_string()).count(), 1);
    assert_eq!(prompts.iter().filter(|prompt| prompt["client_composed"] == true).count(), 3);
}
