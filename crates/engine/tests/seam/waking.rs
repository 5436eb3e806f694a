//! Agents that are started ahead of the prompt.

use crate::world::World;
use domain::{SessionMode, SessionStatus, TurnStatus};
use engine::{Error, SessionDraft};
use sdk_runtime::testing::ScriptedLauncher;
use std::time::Duration;

fn hanging() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        if prompt.text() == "hang" {
            say.hang().await;
        }
        say.text("done");
    })
}

#[tokio::test(start_paused = true)]
async fn a_prompt_finds_the_agent_that_was_started_for_it() {
    let world = World::new(hanging());
    let session = world.session().await;
    for _ in 0..3 {
        world.manager.wake(&world.caller, session).await.unwrap();
    }
    world.alive(1).await;
    assert_eq!(world.status(session).await, SessionStatus::Created, "nothing has happened in it");
    assert_eq!(world.journal(session).await, []);
    assert_eq!(world.ask(session, "go").await.status, TurnStatus::Completed);
    assert_eq!(world.launcher.agents().len(), 1);
    assert_eq!(world.journal(session).await[0].kind.as_str(), "status_change");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_comes_while_its_agent_starts_waits_for_that_one() {
    let world = World::new(hanging());
    let session = world.session().await;
    world.manager.wake(&world.caller, session).await.unwrap();
    let started = world.prompt(session, "go").await.unwrap();
    assert_eq!(started.queue_position, None);
    assert_eq!(world.end(started).await.status, TurnStatus::Completed);
    assert_eq!(world.launcher.agents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_session_is_woken_with_its_conversation() {
    let world = World::new(hanging());
    let session = world.session().await;
    world.ask(session, "one").await;
    world.write_transcript(session).await;
    world.manager.pause(&world.caller, session).await.unwrap();
    world.alive(0).await;
    world.manager.resume(&world.caller, session).await.unwrap();
    world.alive(1).await;
    let resumed = format!("--resume={session}");
    assert!(world.launcher.last_agent().args().contains(&resumed));
    assert_eq!(world.ask(session, "two").await.status, TurnStatus::Completed);
    assert_eq!(world.launcher.agents().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_woken_at_the_cost_of_another() {
    let world = World::with(hanging(), |settings| settings.limits.interactive_agents_max = 1);
    let (idle, asleep) = (world.session().await, world.session().await);
    world.ask(idle, "go").await;
    world.manager.wake(&world.caller, asleep).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.launcher.agents().len(), 1, "the idle agent keeps its slot");
    assert!(world.launcher.last_agent().is_alive());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_woken_makes_room_for_a_prompt() {
    let world = World::with(hanging(), |settings| settings.limits.interactive_agents_max = 1);
    let (woken, prompted) = (world.session().await, world.session().await);
    world.manager.wake(&world.caller, woken).await.unwrap();
    world.alive(1).await;
    assert_eq!(world.ask(prompted, "go").await.status, TurnStatus::Completed);
    world.alive(1).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_still_starting_makes_room_for_a_prompt() {
    let launcher = ScriptedLauncher::new().silent_at_start();
    let world = World::with(launcher, |settings| settings.limits.interactive_agents_max = 1);
    let (woken, prompted) = (world.session().await, world.session().await);
    world.manager.wake(&world.caller, woken).await.unwrap();
    world.launcher.launched(1).await;
    let started = world.prompt(prompted, "go").await.unwrap();
    assert_eq!(started.queue_position, Some(1));
    // It begins at once, and not when the other has given up.
    tokio::time::timeout(Duration::from_secs(5), world.launcher.launched(2)).await.unwrap();
    assert_eq!(world.status(prompted).await, SessionStatus::Connecting);
    assert!(!world.launcher.agents()[0].is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_it_is_woken_leaves_no_agent() {
    let launcher = ScriptedLauncher::new().silent_at_start();
    let world = World::new(launcher);
    for end in [true, false] {
        let session = world.session().await;
        world.manager.wake(&world.caller, session).await.unwrap();
        world.launcher.launched(1).await;
        if end {
            world.manager.terminate(&world.caller, session).await.unwrap();
        } else {
            world.manager.pause(&world.caller, session).await.unwrap();
        }
        world.alive(0).await;
        assert_eq!((world.manager.live_agents(), world.access.open().len()), (0, 0));
        let refused = world.manager.wake(&world.caller, session).await;
        assert!(matches!(refused, Err(Error::WrongState(_))), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn completed_background_work_is_taken_up_with_another_prompt() {
    let world = World::new(hanging());
    let draft = SessionDraft {
        mode: Some(SessionMode::Background),
        initial_message: Some("go".into()),
        ..Default::default()
    };
    let session = world.session_of(draft).await;
    world.reaches(session, SessionStatus::Completed).await;
    let refused = world.prompt(session, "more").await;
    assert!(matches!(refused, Err(Error::WrongState(SessionStatus::Completed))), "{refused:?}");
    world.manager.resume(&world.caller, session).await.unwrap();
    assert_eq!(world.ask(session, "more").await.status, TurnStatus::Completed);
    assert_eq!(world.status(session).await, SessionStatus::Completed);
}
