//! The live mirror against the scripted agent, in virtual time: what the store gets, and what the host
//! hears when it does not.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use sdk_runtime::{
    Agent, AgentOptions, Event, Events, PromptContent,
    store::{
        Flush, MemoryStore, MirrorLoss, MirrorLossReason, SessionKey, SessionStore, SessionStoreOptions,
        StoreError, StoredSession, TranscriptLine,
    },
    testing::{Say, ScriptedLauncher},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

const SESSION: &str = "76a4cfd2-d759-4890-a78f-7daec76c145a";

/// Does with each append, counted from zero, what it is told.
struct Scripted {
    kept: MemoryStore,
    appends: Mutex<Vec<(SessionKey, usize)>>,
    script: fn(usize) -> Does,
}

enum Does {
    Keep,
    Fail,
    Panic,
    Hang,
}

impl Scripted {
    fn new(script: fn(usize) -> Does) -> Arc<Self> {
        Arc::new(Self { kept: MemoryStore::new(), appends: Mutex::default(), script })
    }

    fn appends(&self) -> Vec<(SessionKey, usize)> {
        self.appends.lock().unwrap().clone()
    }
}

#[async_trait]
impl SessionStore for Scripted {
    async fn append(&self, key: &SessionKey, entries: &[Value]) -> Result<(), StoreError> {
        let number = {
            let mut appends = self.appends.lock().unwrap();
            appends.push((key.clone(), entries.len()));
            appends.len() - 1
        };
        match (self.script)(number) {
            Does::Keep => self.kept.append(key, entries).await,
            Does::Fail => Err("the store is away".into()),
            Does::Panic => panic!("on purpose"),
            Does::Hang => pending().await,
        }
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Vec<Value>>, StoreError> {
        self.kept.load(key).await
    }

    async fn list(&self, project_key: &str) -> Result<Vec<StoredSession>, StoreError> {
        self.kept.list(project_key).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), StoreError> {
        self.kept.delete(key).await
    }

    async fn list_subkeys(&self, project_key: &str, session_id: &str) -> Result<Vec<String>, StoreError> {
        self.kept.list_subkeys(project_key, session_id).await
    }
}

fn key() -> SessionKey {
    SessionKey::main("p", SESSION)
}

fn entry(uuid: &str) -> Value {
    json!({ "type": "user", "uuid": uuid })
}

fn frame(subpath: &str, uuids: &[&str]) -> Value {
    let entries: Vec<Value> = uuids.iter().map(|uuid| entry(uuid)).collect();
    let file = format!("/c/projects/-srv-demo/{SESSION}{subpath}.jsonl");
    json!({ "type": "transcript_mirror", "filePath": file, "entries": entries })
}

fn values(lines: &[TranscriptLine]) -> Vec<Value> {
    lines.iter().map(TranscriptLine::value).collect()
}

fn options(store: Arc<dyn SessionStore>) -> SessionStoreOptions {
    SessionStoreOptions::new(store).with_project_key("p".to_owned())
}

async fn start(launcher: &ScriptedLauncher, store: SessionStoreOptions) -> (Agent, Events) {
    Agent::start(launcher, AgentOptions::default().with_session_store(store)).await.unwrap()
}

async fn say(agent: &Agent) -> Uuid {
    agent.prompt(PromptContent::Text("go".to_owned())).await.unwrap()
}

/// Everything up to the result, or to the end: the losses, and whether a mirror frame came through.
async fn losses(events: &mut Events, up_to_result: bool) -> Vec<MirrorLoss> {
    let mut losses = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Event::MirrorFailed(loss) => losses.push(*loss),
            Event::Frame(frame) => assert_ne!(frame.kind(), "transcript_mirror"),
            Event::Finished { .. } if up_to_result => break,
            _ => {}
        }
    }
    losses
}

#[tokio::test(start_paused = true)]
async fn lines_reach_the_store_in_order_and_never_the_host() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say: Say| async move {
        say.frame(&frame("", &["a", "b"]));
        say.frame(&frame("/subagents/agent-x", &["s"]));
        say.frame(&frame("", &["c"]));
        say.frame(&frame("", &[]));
        say.text("done");
    });
    let store = Scripted::new(|_| Does::Keep);
    let (agent, mut events) = start(&launcher, options(store.clone())).await;
    let flags = launcher.last_agent().invocation().args.clone();
    assert!(flags.contains(&"--session-mirror".into()));
    say(&agent).await;
    assert_eq!(losses(&mut events, true).await.len(), 0);
    agent.flush_session_store().await;
    assert_eq!(store.load(&key()).await.unwrap().unwrap(), [entry("a"), entry("b"), entry("c")]);
    let side = key().with_subpath("subagents/agent-x");
    assert_eq!(store.load(&side).await.unwrap().unwrap(), [entry("s")]);
    // One append per transcript and turn.
    assert_eq!(store.appends(), [(key(), 3), (side, 1)]);
    agent.close().await;
}

#[tokio::test(start_paused = true)]
async fn many_lines_are_stored_before_the_turn_ends_and_eager_ones_at_once() {
    let uuids: Vec<String> = (0..501).map(|number| number.to_string()).collect();
    let uuids: Vec<&str> = uuids.iter().map(String::as_str).collect();
    let long = json!({
        "type": "transcript_mirror", "filePath": format!("/c/projects/x/{SESSION}.jsonl"),
        "entries": [{ "type": "user", "uuid": "long", "text": "x".repeat(1 << 20) }],
    });
    for (said, flush) in
        [(frame("", &uuids), Flush::Batched), (long, Flush::Batched), (frame("", &["a"]), Flush::Eager)]
    {
        let launcher = ScriptedLauncher::new().on_prompt(move |_, say: Say| {
            let said = said.clone();
            async move {
                say.frame(&said);
                say.hang().await;
            }
        });
        let store = Scripted::new(|_| Does::Keep);
        let (agent, _events) = start(&launcher, options(store.clone()).with_flush(flush)).await;
        say(&agent).await;
        while store.load(&key()).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        agent.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_come_close_together_are_one_append_and_do_not_wait_for_the_turn_to_end() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say: Say| async move {
        say.frame(&frame("", &["a"]));
        tokio::time::sleep(Duration::from_millis(10)).await;
        say.frame(&frame("", &["b"]));
        say.hang().await;
    });
    let store = Scripted::new(|_| Does::Keep);
    let soon = Flush::Within(Duration::from_millis(25));
    let (agent, _events) = start(&launcher, options(store.clone()).with_flush(soon)).await;
    let begun = Instant::now();
    say(&agent).await;
    while store.load(&key()).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(store.appends(), [(key(), 2)]);
    let waited = begun.elapsed().as_millis();
    assert!((25..=27).contains(&waited), "{waited} ms");
    agent.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_tried_three_times() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say: Say| async move {
        say.frame(&frame("", &["a"]));
    });
    let store = Scripted::new(|number| if number < 2 { Does::Fail } else { Does::Keep });
    let (agent, mut events) = start(&launcher, options(store.clone())).await;
    say(&agent).await;
    losses(&mut events, true).await;
    let begun = Instant::now();
    agent.flush_session_store().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(1), "0.2 s and 0.8 s");
    assert_eq!(store.load(&key()).await.unwrap().unwrap(), [entry("a")]);
    agent.close().await;
    assert_eq!(losses(&mut events, false).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_named_and_what_follows_is_stored() {
    for (script, wanted) in [
        ((|number| if number < 3 { Does::Fail } else { Does::Keep }) as fn(usize) -> Does, "Failed"),
        (|number| if number < 1 { Does::Panic } else { Does::Keep }, "Panicked"),
        (|number| if number < 1 { Does::Hang } else { Does::Keep }, "TimedOut"),
    ] {
        let launcher = ScriptedLauncher::new().on_prompt(|prompt, say: Say| async move {
            let uuid = prompt.id().unwrap().to_string();
            say.frame(&frame("", &[&uuid]));
        });
        let store = Scripted::new(script);
        let (agent, mut events) = start(&launcher, options(store.clone())).await;
        let first = say(&agent).await;
        losses(&mut events, true).await;
        agent.flush_session_store().await;
        let second = say(&agent).await;
        let lost = losses(&mut events, true).await;
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert_eq!((&lost[0].key, lost[0].entries), (&key(), 1));
        assert_eq!(lost[0].uuids, [first.to_string()]);
        assert!(format!("{:?}", lost[0].reason).starts_with(wanted), "{lost:?}");
        agent.close().await;
        assert_eq!(store.load(&key()).await.unwrap().unwrap(), [entry(&second.to_string())]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_up_neither_control_nor_turns_and_is_bounded() {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say: Say| async move {
        say.frame(&frame("", &[&prompt.id().unwrap().to_string(), &"x".repeat(400)]));
    });
    let store = Scripted::new(|_| Does::Hang);
    let store = options(store).with_append_timeout(Duration::from_secs(3_600)).with_pending_bytes_max(2_000);
    let (agent, mut events) = start(&launcher, store).await;
    let begun = Instant::now();
    let mut lost = Vec::new();
    for _ in 0..10 {
        say(&agent).await;
        lost.extend(losses(&mut events, true).await);
        agent.set_model(None).await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(lost.len() >= 5, "{}", lost.len());
    assert!(lost.iter().all(|loss| matches!(loss.reason, MirrorLossReason::Backlog)), "{lost:?}");
    agent.close().await;
    let rest = losses(&mut events, false).await;
    assert!(rest.iter().all(|loss| matches!(loss.reason, MirrorLossReason::Closed)), "{rest:?}");
    let named: usize = lost.iter().chain(&rest).map(|loss| loss.entries).sum();
    assert_eq!(named, 20, "every entry is accounted for");
}

#[tokio::test(start_paused = true)]
async fn closing_and_killing_return_when_everything_heard_is_stored() {
    for is_killed in [false, true] {
        let launcher = ScriptedLauncher::new().on_prompt(|_, say: Say| async move {
            say.frame(&frame("", &["a"]));
            say.text("heard");
            say.hang().await;
        });
        let store = Scripted::new(|number| if number < 1 { Does::Fail } else { Does::Keep });
        let (agent, mut events) = start(&launcher, options(store.clone())).await;
        say(&agent).await;
        loop {
            if let Event::Frame(frame) = events.next().await.unwrap()
                && frame.kind() == "assistant"
            {
                break;
            }
        }
        if is_killed {
            agent.kill().await
        } else {
            agent.close().await
        };
        assert_eq!(store.load(&key()).await.unwrap().unwrap(), [entry("a")]);
    }
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_ever() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say: Say| async move {
        say.frame(&frame("", &["a"]));
    });
    let store = options(Scripted::new(|_| Does::Hang)).with_close_timeout(Duration::from_secs(2));
    let (agent, mut events) = start(&launcher, store).await;
    say(&agent).await;
    losses(&mut events, true).await;
    let begun = Instant::now();
    agent.close().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    let lost = losses(&mut events, false).await;
    assert_eq!(lost.len(), 1);
    assert!(matches!(lost[0].reason, MirrorLossReason::Closed), "{lost:?}");
    assert_eq!(lost[0].uuids, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_no_transcript_is_said() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say: Say| async move {
        say.frame(&json!({ "type": "transcript_mirror", "filePath": "/etc/x", "entries": [entry("a")] }));
    });
    let store = Scripted::new(|_| Does::Keep);
    let (agent, mut events) = start(&launcher, options(store.clone())).await;
    say(&agent).await;
    let lost = losses(&mut events, true).await;
    assert!(matches!(lost[0].reason, MirrorLossReason::ForeignFile), "{lost:?}");
    agent.close().await;
    assert!(store.appends().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_store_the_frames_are_the_hosts() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say: Say| async move {
        say.frame(&frame("", &["a"]));
    });
    let (agent, mut events) = Agent::start(&launcher, AgentOptions::default()).await.unwrap();
    say(&agent).await;
    loop {
        match events.next().await.unwrap() {
            Event::Frame(frame) if frame.kind() == "transcript_mirror" => break,
            Event::Finished { .. } => panic!("the frame was swallowed"),
            _ => {}
        }
    }
    agent.close().await;
}

/// Three lines in two transcripts, and their turn's result.
fn two_transcripts() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say: Say| async move {
        let uuid = prompt.id().unwrap().to_string();
        say.frame(&frame("", &[&uuid, "a"]));
        say.frame(&frame("/subagents/agent-x", &["s"]));
    })
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "a test joins the tasks it starts")]
async fn what_waits_can_be_taken_out_and_what_comes_after_it_waits_for_it() {
    let launcher = two_transcripts();
    let store = Scripted::new(|_| Does::Keep);
    let soon = Flush::Within(Duration::from_millis(25));
    let (agent, mut events) = start(&launcher, options(store.clone()).with_flush(soon)).await;
    assert!(agent.take_transcript_lines().await.is_none(), "nothing was said");
    let first = say(&agent).await;
    losses(&mut events, true).await;
    let taken = agent.take_transcript_lines().await.unwrap();
    let side = key().with_subpath("subagents/agent-x");
    let lines: Vec<_> = taken.lines().map(|(key, lines)| (key.clone(), values(lines))).collect();
    assert_eq!(
        lines,
        [(key(), vec![entry(&first.to_string()), entry("a")]), (side.clone(), vec![entry("s")])]
    );

    let second = say(&agent).await;
    losses(&mut events, true).await;
    let flush = tokio::spawn({
        let agent = agent.clone();
        async move { agent.flush_session_store().await }
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(store.appends(), [], "the order would not be kept");
    assert!(!flush.is_finished());
    taken.stored();
    flush.await.unwrap();
    assert_eq!(store.load(&key()).await.unwrap().unwrap(), [entry(&second.to_string()), entry("a")]);
    assert_eq!(store.appends(), [(key(), 2), (side, 1)]);
    agent.close().await;
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "a test joins the tasks it starts")]
async fn what_was_taken_out_and_not_stored_goes_to_the_store_before_what_follows() {
    for closes in [false, true] {
        let launcher = two_transcripts();
        let store = Scripted::new(|_| Does::Keep);
        let soon = Flush::Within(Duration::from_millis(25));
        let (agent, mut events) = start(&launcher, options(store.clone()).with_flush(soon)).await;
        let first = say(&agent).await;
        losses(&mut events, true).await;
        let taken = agent.take_transcript_lines().await.unwrap();
        let second = say(&agent).await;
        losses(&mut events, true).await;
        let closing = closes.then(|| {
            let agent = agent.clone();
            tokio::spawn(async move { agent.close().await })
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(taken);
        match closing {
            Some(closing) => drop(closing.await.unwrap()),
            None => agent.flush_session_store().await,
        }
        let all = [entry(&first.to_string()), entry("a"), entry(&second.to_string())];
        assert_eq!(store.load(&key()).await.unwrap().unwrap(), all);
        agent.close().await;
        assert_eq!(losses(&mut events, false).await.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_was_given_is_waited_for_before_the_rest_is_taken_out() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say: Say| async move {
        say.frame(&frame("", &["a"]));
        tokio::time::sleep(Duration::from_millis(30)).await;
        say.frame(&frame("", &["b"]));
    });
    let store = Scripted::new(|number| if number < 2 { Does::Fail } else { Does::Keep });
    let soon = Flush::Within(Duration::from_millis(25));
    let (agent, mut events) = start(&launcher, options(store.clone()).with_flush(soon)).await;
    say(&agent).await;
    losses(&mut events, true).await;
    let taken = agent.take_transcript_lines().await.unwrap();
    assert_eq!(store.load(&key()).await.unwrap().unwrap(), [entry("a")]);
    assert_eq!(taken.lines().map(|(_, lines)| values(lines)).collect::<Vec<_>>(), [[entry("b")]]);
    taken.stored();
    agent.kill().await;
}
