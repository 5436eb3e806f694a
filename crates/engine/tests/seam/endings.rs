//! Turns that are stopped: by the clock, by a person, with their session.

use crate::world::{World, soon};
use domain::{SessionStatus, TurnFailure, TurnStatus};
use engine::{Error, SessionDraft};
use sdk_runtime::testing::ScriptedLauncher;
use tokio::time::Instant;

fn hanging() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        say.text("working on it");
        if prompt.text() == "hang" {
            say.hang().await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_takes_too_long_is_interrupted_and_the_agent_kept() {
    let world = World::new(hanging());
    let session = world.session_of(SessionDraft { timeout_seconds: Some(7), ..Default::default() }).await;
    let begun = Instant::now();
    let turn = world.ask(session, "hang").await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Failed, Some(TurnFailure::AgentTimeout)));
    assert_eq!(begun.elapsed().as_secs(), 7);
    assert_eq!(world.launcher.last_agent().controls("interrupt").len(), 1);
    assert_eq!(world.ask(session, "next").await.status, TurnStatus::Completed);
    assert_eq!(world.launcher.agents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_ignores_the_interrupt_is_killed() {
    let deaf = hanging().on_control("interrupt", |_| Ok(serde_json::json!({})));
    let world = World::new(deaf);
    let session = world.session_of(SessionDraft { timeout_seconds: Some(7), ..Default::default() }).await;
    let begun = Instant::now();
    let turn = world.ask(session, "hang").await;
    assert_eq!(turn.failure, Some(TurnFailure::AgentTimeout));
    assert_eq!(begun.elapsed().as_secs(), 17);
    assert!(!world.launcher.last_agent().is_alive());
    assert_eq!(world.access.open(), [""; 0]);
    assert_eq!(world.manager.live_agents(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_person_can_interrupt_a_turn_and_go_on_with_the_same_agent() {
    let world = World::new(hanging());
    let session = world.session().await;
    let started = world.ask_and_leave(session, "hang").await;
    let answered = soon(world.manager.interrupt(&world.caller, session)).await.unwrap();
    assert_eq!(answered.status, SessionStatus::Active);
    let turn = world.end(started).await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Interrupted, Some(TurnFailure::Interrupted)));
    assert_eq!(world.get(session).await.counters.errors, 0);
    assert_eq!(world.ask(session, "next").await.status, TurnStatus::Completed);
    assert_eq!(world.launcher.agents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn interrupting_an_idle_session_does_nothing() {
    let world = World::new(hanging());
    let session = world.session().await;
    world.ask(session, "one").await;
    let events = world.journal(session).await.len();
    world.manager.interrupt(&world.caller, session).await.unwrap();
    assert_eq!(world.journal(session).await.len(), events);
    assert_eq!(world.launcher.last_agent().controls("interrupt").len(), 0);
    assert_eq!(world.ask(session, "two").await.status, TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_starting_can_be_interrupted() {
    let world = World::new(hanging().silent_at_start());
    let session = world.session().await;
    let started = world.prompt(session, "one").await.unwrap();
    soon(world.launcher.launched(1)).await;
    soon(world.manager.interrupt(&world.caller, session)).await.unwrap();
    assert_eq!(world.end(started).await.status, TurnStatus::Interrupted);
    world.alive(0).await;
    assert_eq!(world.access.open(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_cuts_the_wait_for_a_retry_short() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move { say.exit(1, "").await });
    let world = World::new(launcher);
    let session = world.session_of(SessionDraft { retry_delay_ms: Some(60_000), ..Default::default() }).await;
    let started = world.ask_and_leave(session, "one").await;
    world.alive(0).await;
    world.manager.interrupt(&world.caller, session).await.unwrap();
    let turn = world.end(started).await;
    assert_eq!((turn.status, turn.retries), (TurnStatus::Interrupted, 0));
}

#[tokio::test(start_paused = true)]
async fn a_paused_session_takes_no_prompt_until_it_is_resumed() {
    let world = World::new(hanging());
    for text in ["quick", "hang"] {
        let session = world.session().await;
        let started = world.ask_and_leave(session, text).await;
        if text == "quick" {
            world.end(started).await;
        }
        let paused = soon(world.manager.pause(&world.caller, session)).await.unwrap();
        assert_eq!(paused.status, SessionStatus::Paused);
        assert!(world.end(started).await.status.is_over());
        let refused = world.queue(session, "more").await;
        assert!(matches!(refused, Err(Error::WrongState(SessionStatus::Paused))), "{refused:?}");
        world.alive(0).await;
        let resumed = world.manager.resume(&world.caller, session).await.unwrap();
        assert_eq!(resumed.status, SessionStatus::Active);
        assert_eq!(world.ask(session, "next").await.status, TurnStatus::Completed);
        world.manager.terminate(&world.caller, session).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn ending_a_session_closes_its_agent_and_removes_what_it_owns() {
    let world = World::new(hanging());
    for text in ["quick", "hang"] {
        let session = world.session().await;
        let started = world.ask_and_leave(session, text).await;
        if text == "quick" {
            world.end(started).await;
        }
        let own = world.get(session).await.spec.working_directory;
        let agents = world.settings.directories.agents.join(session.to_string());
        assert!(agents.exists() && std::path::Path::new(&own).exists());
        soon(world.manager.terminate(&world.caller, session)).await.unwrap();
        assert_eq!(world.status(session).await, SessionStatus::Terminated);
        assert!(world.end(started).await.status.is_over());
        assert!(!agents.exists() && !std::path::Path::new(&own).exists());
        assert_eq!(world.launcher.alive().len(), 0);
        assert_eq!(world.access.open(), [""; 0]);
        soon(world.manager.terminate(&world.caller, session)).await.unwrap();
        let refused = world.queue(session, "more").await;
        assert!(matches!(refused, Err(Error::WrongState(SessionStatus::Terminated))), "{refused:?}");
    }
    assert_eq!(std::fs::read_dir(world.root().join("tmp")).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn ending_a_session_leaves_a_directory_that_is_not_its_own() {
    let world = World::new(hanging());
    let shared = world.root().join("shared/project");
    std::fs::create_dir_all(&shared).unwrap();
    std::fs::write(shared.join("kept"), "x").unwrap();
    let draft = SessionDraft { working_directory: Some(shared.display().to_string()), ..Default::default() };
    let session = world.session_of(draft).await;
    world.ask(session, "one").await;
    assert_eq!(world.launcher.last_agent().invocation().cwd, shared);
    world.manager.terminate(&world.caller, session).await.unwrap();
    assert!(shared.join("kept").exists());
}
