//! Recording and replaying: the recordings of the real CLI through a whole agent, and recordings of our own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to fail")]

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use sdk_runtime::{
    Agent, AgentOptions, Conversation, Error, Event, Events, Message, Outcome, Queued, TurnError, TurnResult,
    recording::{Direction, Line, Recorder, Recording, Replayer, What},
    testing::ScriptedLauncher,
};
use serde_json::{Value, json};
use uuid::Uuid;

fn folder() -> PathBuf {
    PathBuf::from("tests/recordings")
}

fn recording(name: &str) -> Recording {
    Recording::open(folder().join(format!("{name}.jsonl"))).unwrap()
}

/// How many results the agent of a recording gave.
fn results(recording: &Recording) -> usize {
    let is_result = |what: &What| matches!(what, What::Out(Line::Json(frame)) if frame["type"] == "result");
    recording.entries().iter().filter(|entry| is_result(&entry.what)).count()
}

/// Where events end prompts.
#[derive(Debug, Default)]
struct Ended {
    results: usize,
    prompts: BTreeMap<Uuid, usize>,
    exited: bool,
    words: String,
}

async fn read(events: &mut Events, mut is_enough: impl FnMut(&Ended) -> bool) -> Ended {
    let mut ended = Ended::default();
    while let Some(event) = events.next().await {
        let prompts = match event {
            Event::Finished { prompts, .. } => {
                ended.results += 1;
                prompts
            }
            Event::Dropped { prompts, .. } => prompts,
            Event::Exited(said) => {
                ended.exited = true;
                ended.words.clone_from(&said.exit.stderr_tail);
                said.open_prompts.clone()
            }
            _ => Vec::new(),
        };
        for id in prompts {
            *ended.prompts.entry(id).or_default() += 1;
        }
        if is_enough(&ended) {
            break;
        }
    }
    ended
}

#[tokio::test(start_paused = true)]
async fn every_recording_of_the_real_cli_replays_through_an_agent() {
    let (mut replayed, mut refused) = (0, Vec::new());
    for file in fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let recording = Recording::open(&path).unwrap();
        let wanted = results(&recording);
        let started = Agent::start(&Replayer::new(recording.clone()), AgentOptions::default()).await;
        let (agent, mut events) = match started {
            Ok(started) => started,
            Err(error) => {
                assert!(matches!(error, Error::Startup { .. }), "{name}: {error:?}");
                refused.push(name);
                continue;
            }
        };
        let driving = agent.clone();
        let (driven, mut seen) = tokio::join!(recording.drive(&driving), async {
            if wanted == 0 {
                Ended::default()
            } else {
                read(&mut events, |seen| seen.results == wanted).await
            }
        });
        let is_fatal = matches!(name.as_str(), "bad_json" | "control_requests");
        assert!(driven.is_ok() || is_fatal, "{name}: {driven:?}");
        agent.close().await;
        let rest = read(&mut events, |_| false).await;
        seen.prompts.extend(rest.prompts);
        assert!(
            !format!("{}{}", seen.words, rest.words).contains("replay"),
            "{name}: {seen:?} {}",
            rest.words
        );
        assert_eq!(seen.results + rest.results, wanted, "{name}");
        assert!(seen.exited || rest.exited, "{name}");
        assert_eq!(seen.prompts.len(), recording.prompts().len(), "{name}: {seen:?}");
        assert!(seen.prompts.values().all(|times| *times == 1), "{name}: {seen:?}");
        replayed += 1;
    }
    refused.sort();
    assert_eq!(replayed + refused.len(), 82, "{refused:?}");
    let no_start = ["resume_at_without_resume", "resume_bad_at", "resume_bad_drop", "resume_bad_sid"];
    assert!(no_start.iter().all(|name| refused.iter().any(|refused| refused == name)), "{refused:?}");
    assert!(refused.len() < 10, "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn prompts_the_real_cli_merged_share_a_result() {
    let replayer = Replayer::new(recording("queue_messages"));
    let (conversation, _background) = Conversation::start(&replayer, AgentOptions::default()).await.unwrap();
    let mut turns = Vec::new();
    for prompt in recording("queue_messages").prompts() {
        turns.push(conversation.send(prompt).await.unwrap());
    }
    let mut ids = Vec::new();
    for turn in &mut turns {
        let result = turn.result().await.unwrap();
        ids.push(result.uuid().unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[1], ids[2]);
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_prompt_the_real_cli_folded_hears_the_rest_of_the_turn() {
    let recording = recording("message_folded_mid_turn");
    let (conversation, _background) =
        Conversation::start(&Replayer::new(recording.clone()), AgentOptions::default()).await.unwrap();
    let mut heard = Vec::new();
    let mut turns = Vec::new();
    for prompt in recording.prompts() {
        turns.push(conversation.send(prompt).await.unwrap());
    }
    for turn in &mut turns {
        let (mut blocks, mut result) = (0, None);
        while let Some(message) = turn.next().await {
            match message.unwrap() {
                Message::Assistant(_) | Message::User(_) => blocks += 1,
                Message::Result(ended) => result = ended.uuid().map(str::to_owned),
                _ => {}
            }
        }
        heard.push((blocks, result.unwrap()));
    }
    // The call and its result came before the second prompt was taken up, the answer after.
    assert_eq!((heard[0].0, heard[1].0), (3, 1));
    assert_eq!(heard[0].1, heard[1].1);
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_the_real_cli_took_cancels_one_and_ends_the_other() {
    let recording = recording("interrupt_cancel_queued");
    let (conversation, _background) =
        Conversation::start(&Replayer::new(recording.clone()), AgentOptions::default()).await.unwrap();
    let mut turns = Vec::new();
    for prompt in recording.prompts() {
        turns.push(conversation.send(prompt).await.unwrap());
    }
    let receipt = conversation.interrupt(Queued::Cancel).await.unwrap();
    assert_eq!(receipt.cancelled, [turns[1].id()]);
    assert_eq!(turns[0].result().await.unwrap().outcome(), Outcome::Interrupted);
    assert!(matches!(turns[1].result().await, Err(TurnError::Cancelled)));
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_real_cli_does_in_the_background_is_in_the_background() {
    let recording = recording("session_state_mirror");
    let (conversation, mut background) =
        Conversation::start(&Replayer::new(recording.clone()), AgentOptions::default()).await.unwrap();
    let mut turn = conversation.send(recording.prompts().remove(0)).await.unwrap();
    let result = turn.result().await.unwrap();
    assert!(result.origin().is_none());
    let mut subagent = 0;
    loop {
        match background.next().await.unwrap() {
            Message::Result(result) => {
                break assert_eq!(result.origin().unwrap().producer.as_deref(), Some("session-task"));
            }
            message => subagent += usize::from(message.parent_tool_use_id().is_some()),
        }
    }
    assert_eq!(subagent, 1);
    conversation.close().await;
}

/// A file in memory.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn recorder(launcher: &ScriptedLauncher) -> (Recorder, Paper) {
    let paper = Paper::default();
    let sink = paper.clone();
    (Recorder::to_sink(launcher.clone(), move |_| Ok(Box::new(sink.clone()))), paper)
}

#[tokio::test]
async fn what_was_recorded_replays_the_same_and_ends_the_same() {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        if prompt.text() == "die" {
            say.agent().say_bytes(b"[SandboxDebug] plain\n\xff\xfe\n".to_vec());
            say.exit(3, "the last words").await;
        }
        say.text(format!("you said {}", prompt.text()));
    });
    let (recorder, paper) = recorder(&launcher);
    let talk = async |agent: &Agent, events: &mut Events| {
        let mut heard = Vec::new();
        for word in ["one", "two", "die"] {
            agent.prompt(word).await.unwrap();
        }
        while let Some(event) = events.next().await {
            heard.push(match event {
                Event::Frame(frame) => frame.blocks().first().map_or(frame.kind().into(), Value::to_string),
                Event::Finished { prompts, result } => format!("{} {:?}", prompts.len(), result.text),
                Event::Exited(said) => format!("{:?} {}", said.exit, said.open_prompts.len()),
                event => format!("{event:?}"),
            });
        }
        heard
    };
    let (agent, mut events) = Agent::start(&recorder, AgentOptions::default()).await.unwrap();
    let first = talk(&agent, &mut events).await;
    recorder.finished().await.unwrap();

    let recording = Recording::parse(&paper.text()).unwrap();
    let kept = recording.entries().iter().filter_map(|entry| match &entry.what {
        What::Out(Line::Text(text)) => Some(text.clone()),
        What::Out(Line::Bytes(bytes)) => Some(format!("{bytes:?}")),
        _ => None,
    });
    assert_eq!(kept.collect::<Vec<_>>(), ["[SandboxDebug] plain", "[255, 254]"]);
    let (agent, mut events) = Agent::start(&Replayer::new(recording), AgentOptions::default()).await.unwrap();
    let second = talk(&agent, &mut events).await;
    assert_eq!(first, second);
    assert!(first.last().unwrap().contains("the last words"), "{first:?}");
}

#[tokio::test]
async fn secrets_are_not_recorded() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.text("your key is sk-very-secret, and the code is 0451");
    });
    let (recorder, paper) = recorder(&launcher);
    let recorder = recorder.with_redaction(|direction, value| {
        if direction == Direction::Out && value["type"] == "assistant" {
            let text = value["message"]["content"][0]["text"].as_str().unwrap_or_default();
            value["message"]["content"][0]["text"] = text.replace("0451", "####").into();
        }
    });
    let servers = json!({ "s": { "command": "x", "env": { "PASS": "hush" }, "headers": { "A": "quiet" } } });
    let env = BTreeMap::from([("API_KEY".to_owned(), "sk-very-secret".to_owned())]);
    let options = AgentOptions::default()
        .with_env(env)
        .with_mcp_servers(Some(servers))
        .with_extra_args(vec![("settings".to_owned(), Some("{\"env\":{\"T\":\"softly\"}}".to_owned()))]);
    let (conversation, _background) = Conversation::start(&recorder, options).await.unwrap();
    let answer = conversation.send("what is sk-very-secret?").await.unwrap().text().await.unwrap();
    assert!(answer.contains("sk-very-secret"), "the conversation itself is left alone");
    conversation.close().await;
    recorder.finished().await.unwrap();
    let text = paper.text();
    for secret in ["sk-very-secret", "hush", "quiet", "softly"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.contains("####") && text.contains("API_KEY") && text.contains("what is (redacted)?"));
}

#[tokio::test]
async fn a_recording_that_cannot_be_written_disturbs_nobody() {
    let launcher = ScriptedLauncher::new();
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for fails_at_once in [true, false] {
        let recorder =
            Recorder::to_sink(
                launcher.clone(),
                move |_| {
                    if fails_at_once { Err(full()) } else { Ok(Box::new(Full)) }
                },
            );
        let (conversation, _background) =
            Conversation::start(&recorder, AgentOptions::default()).await.unwrap();
        assert_eq!(conversation.send("x").await.unwrap().text().await.unwrap(), "done");
        conversation.close().await;
        let error = recorder.finished().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_go_along_is_told_what_was_expected() {
    let replayer = Replayer::new(recording("basic"));
    let (agent, _events) = Agent::start(&replayer, AgentOptions::default()).await.unwrap();
    // Not in the recording: refused, so that nobody waits for an answer.
    let refused = agent.set_model(Some("x")).await;
    assert!(matches!(&refused, Err(Error::Control { message, .. }) if message.contains("recording")));
    let said = agent.exited().await;
    assert_eq!(said.exit.code, Some(1));
    assert!(said.exit.stderr_tail.contains("waits for user"), "{}", said.exit.stderr_tail);

    // A prompt more than there are.
    let (agent, _events) = Agent::start(&replayer, AgentOptions::default()).await.unwrap();
    for _ in 0..=recording("basic").prompts().len() {
        agent.prompt("x").await.unwrap();
    }
    let said = agent.exited().await;
    assert!(said.exit.stderr_tail.contains("a prompt more"), "{}", said.exit.stderr_tail);
}

#[test]
fn a_recording_that_is_broken_says_where() {
    let error = Recording::parse("{\"dir\":\"in\",\"t\":0,\"msg\":{}}\n\n{\"dir\"").unwrap_err();
    assert_eq!(error.to_string(), "read line 3 of the recording");
    let strange = Recording::parse("{\"dir\":\"in\"}\n5\n{\"dir\":\"out\",\"hex\":\"0g\"}").unwrap();
    assert!(strange.entries().iter().all(|entry| matches!(entry.what, What::Other(_))));
    assert!(strange.prompts().is_empty());
}

#[test]
fn results_of_the_recordings_have_their_structured_answer() {
    #[derive(serde::Deserialize, PartialEq, Debug)]
    struct Answer {
        name: String,
        n: u32,
    }
    let last = |name: &str| {
        let entries = recording(name).entries().to_vec();
        let results = entries.into_iter().filter_map(|entry| match entry.what {
            What::Out(Line::Json(frame)) if frame["type"] == "result" => Some(TurnResult::read(frame)),
            _ => None,
        });
        results.collect::<Vec<_>>().pop().unwrap()
    };
    assert_eq!(last("structured_output").structured::<Answer>().unwrap(), Answer { name: "x".into(), n: 3 });
    let error = last("structured_output").structured::<Vec<u8>>().unwrap_err();
    assert!(matches!(&error, sdk_runtime::StructuredError::Unreadable { value, .. } if value["n"] == 3));
    let error = last("structured_fail").structured::<Answer>().unwrap_err();
    assert!(matches!(error, sdk_runtime::StructuredError::NotProduced { .. }), "{error}");
}
