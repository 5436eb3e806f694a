//! Options that say which session: forks at a message, dropped turns, the latest one, none on disk.

use sdk_runtime::{Agent, Error, Event, Events, SessionStart, sessions::SessionFiles};
use uuid::Uuid;

use crate::bench::{Bench, next, result_of, say, start_error};

/// Runs a turn: its prompt, and the last entry of the transcript that was reported for it.
async fn turn(agent: &Agent, events: &mut Events, text: &str) -> (Uuid, Uuid) {
    let id = say(agent, text).await;
    let mut last = id;
    loop {
        match next(events).await {
            Event::Frame(frame) if matches!(frame.raw()["type"].as_str(), Some("assistant" | "user")) => {
                last = frame.raw()["uuid"].as_str().unwrap().parse().unwrap();
            }
            Event::Finished { prompts, .. } if prompts.contains(&id) => return (id, last),
            _ => {}
        }
    }
}

/// What the model reads of the earlier prompts.
async fn recalled(agent: &Agent, events: &mut Events) -> String {
    let id = say(agent, "and now [[recall]]").await;
    result_of(events, id).await.text.unwrap()
}

#[tokio::test]
async fn a_prompt_to_the_real_agent_brings_an_archived_session_back() {
    let bench = Bench::new().await;
    let id = Uuid::new_v4();
    let files = SessionFiles::new(bench.path("config"));
    let archived = async || files.info(id).await.unwrap().unwrap().archived;
    let (agent, mut events) = bench.start(bench.options().with_session(SessionStart::New { id })).await;
    turn(&agent, &mut events, "the first [[text:one]]").await;
    agent.close().await;
    assert_eq!(archived().await, None);
    files.archive(id).await.unwrap();
    assert_eq!(archived().await, Some(true));
    let resumed = SessionStart::Resume { id, at: None, fork: None };
    let (agent, mut events) = bench.start(bench.options().with_session(resumed)).await;
    assert_eq!(archived().await, Some(true), "to look at it is not to go on with it");
    turn(&agent, &mut events, "the second [[text:two]]").await;
    agent.close().await;
    assert_eq!(archived().await, Some(false));
}

#[tokio::test]
async fn a_fork_at_a_message_drops_the_turn_it_names_and_the_latest_session_continues() {
    let bench = Bench::new().await;
    let id = Uuid::new_v4();
    let options = || bench.options().with_session(SessionStart::New { id });
    let (agent, mut events) = bench.start(options()).await;
    let (_, at) = turn(&agent, &mut events, "the first [[text:one]]").await;
    let (second, _) = turn(&agent, &mut events, "the second [[text:two]]").await;
    agent.close().await;

    let fork = Uuid::new_v4();
    let session = SessionStart::Resume { id, at: Some(at), fork: Some(fork) };
    let forked = bench.options().with_session(session);
    let wrong = start_error(forked.clone().with_resume_drops_turn(Uuid::new_v4())).await;
    assert!(matches!(&wrong, Error::Startup { .. }), "{wrong:?}");
    assert!(wrong.to_string().contains("--resume-drops-turn"), "{wrong}");

    let (agent, mut events) = bench.start(forked.with_resume_drops_turn(second)).await;
    let told = recalled(&agent, &mut events).await;
    assert!(told.contains("the first") && !told.contains("the second"), "{told}");
    agent.close().await;

    let latest = bench.options().with_session(SessionStart::Continue { fork: None });
    let (agent, mut events) = bench.start(latest).await;
    let id = say(&agent, "go [[recall]]").await;
    let result = result_of(&mut events, id).await;
    assert_eq!(result.session_id, fork.to_string());
    assert!(result.text.unwrap().contains("and now"));
    agent.close().await;
}

#[tokio::test]
async fn an_ephemeral_session_leaves_no_transcript() {
    let bench = Bench::new().await;
    let transcripts = || {
        let projects = bench.path("config/projects");
        let files = std::fs::read_dir(projects).into_iter().flatten().flatten();
        let files = files.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten());
        files.filter(|file| file.path().extension().is_some_and(|kind| kind == "jsonl")).count()
    };
    for (is_ephemeral, count) in [(true, 0), (false, 1)] {
        let (agent, mut events) = bench.start(bench.options().with_ephemeral(is_ephemeral)).await;
        let id = say(&agent, "go [[text:gone]]").await;
        result_of(&mut events, id).await;
        agent.close().await;
        assert_eq!(transcripts(), count);
    }
}
