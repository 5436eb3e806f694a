//! Prompts that wait for the turn before them.

use crate::world::{World, soon};
use domain::{EventKind, SessionStatus, TurnFailure, TurnStatus};
use engine::{Error, SessionDraft};
use sdk_runtime::testing::ScriptedLauncher;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Agents that answer one prompt for each permit.
fn on_permit() -> (ScriptedLauncher, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let script = permits.clone();
    let launcher = ScriptedLauncher::new().on_prompt(move |prompt, say| {
        let permits = script.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            say.text(prompt.text());
        }
    });
    (launcher, permits)
}

/// Some rounds of housekeeping.
async fn keep_house(world: &World) {
    let keeping = world.manager.keep_house(CancellationToken::new());
    tokio::time::timeout(Duration::from_secs(30), keeping).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn queued_prompts_run_after_the_current_one_in_their_order() {
    let (launcher, permits) = on_permit();
    let world = World::new(launcher);
    let session = world.session().await;
    let mut started = vec![world.queue(session, "one").await.unwrap()];
    for text in ["two", "three", "four"] {
        started.push(world.queue(session, text).await.unwrap());
    }
    let positions: Vec<_> = started.iter().map(|turn| turn.queue_position).collect();
    assert_eq!(positions, [None, Some(1), Some(2), Some(3)]);
    let full = world.queue(session, "five").await;
    assert!(matches!(full, Err(Error::QueueFull { limit: 3, .. })), "{full:?}");
    permits.add_permits(4);
    for turn in started {
        assert_eq!(world.end(turn).await.status, TurnStatus::Completed);
    }
    assert_eq!(world.told(), ["one", "two", "three", "four"]);
    assert_eq!(world.launcher.agents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn ending_a_session_cancels_what_is_queued() {
    let (launcher, _permits) = on_permit();
    let world = World::new(launcher);
    let session = world.session().await;
    let first = world.ask_and_leave(session, "one").await;
    let queued = world.queue(session, "two").await.unwrap();
    world.manager.terminate(&world.caller, session).await.unwrap();
    for turn in [first, queued] {
        let turn = world.end(turn).await;
        assert_eq!((turn.status, turn.failure), (TurnStatus::Interrupted, Some(TurnFailure::Interrupted)));
    }
    let results = world.journal(session).await;
    let results = results.iter().filter(|event| event.kind == EventKind::Result);
    assert_eq!(results.count(), 2);
    assert_eq!(world.told(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_outlives_the_server() {
    let (launcher, permits) = on_permit();
    let world = World::new(launcher);
    let session = world.session().await;
    let first = world.ask_and_leave(session, "one").await;
    let queued = world.queue(session, "two").await.unwrap();
    world.manager.shut_down(Duration::ZERO).await;
    assert_eq!(world.end(first).await.failure, Some(TurnFailure::ServerStopped));
    permits.add_permits(1);
    let world = world.next_life();
    world.manager.recover().await.unwrap();
    assert_eq!(world.end(queued).await.answer.as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn a_first_message_runs_by_itself() {
    let world = World::new(ScriptedLauncher::new());
    let draft = SessionDraft { initial_message: Some("go".into()), ..Default::default() };
    let session = world.session_of(draft).await;
    world.reaches(session, SessionStatus::Active).await;
    assert_eq!(world.told(), ["go"]);
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_a_paused_session_takes_nobodys_agent() {
    let (launcher, permits) = on_permit();
    let world = World::with(launcher, |settings| settings.limits.interactive_agents_max = 1);
    let paused = world.session().await;
    world.ask_and_leave(paused, "one").await;
    let queued = world.queue(paused, "two").await.unwrap();
    world.manager.pause(&world.caller, paused).await.unwrap();
    let other = world.session().await;
    permits.add_permits(1);
    world.ask(other, "three").await;
    keep_house(&world).await;
    assert_eq!(world.launcher.alive().len(), 1, "the idle agent made room for nothing");
    permits.add_permits(1);
    world.manager.resume(&world.caller, paused).await.unwrap();
    assert_eq!(soon(world.end(queued)).await.answer.as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_may_wait_does_not_overtake_those_that_do() {
    let (launcher, permits) = on_permit();
    let world = World::with(launcher, |settings| settings.limits.interactive_agents_max = 1);
    let other = world.session().await;
    world.ask_and_leave(other, "other").await;
    let draft = SessionDraft { initial_message: Some("first".into()), ..Default::default() };
    let session = world.session_of(draft).await;
    keep_house(&world).await;
    assert_eq!(world.status(session).await, SessionStatus::Created);
    world.manager.interrupt(&world.caller, other).await.unwrap();
    let second = world.queue(session, "second").await.unwrap();
    permits.add_permits(2);
    world.end(second).await;
    assert_eq!(world.told(), ["other", "first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_waits_is_taken_back_and_the_others_move_up() {
    let (launcher, permits) = on_permit();
    let world = World::new(launcher);
    let session = world.session().await;
    let running = world.ask_and_leave(session, "one").await;
    let (second, third) =
        (world.queue(session, "two").await.unwrap(), world.queue(session, "three").await.unwrap());
    world.manager.cancel_turn(&world.caller, session, second.turn_id).await.unwrap();
    let turn = world.end(second).await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Interrupted, Some(TurnFailure::Interrupted)));
    let turn = world.manager.turn(&world.caller, session, third.turn_id).await.unwrap();
    assert_eq!(world.manager.queue_position(&turn).await.unwrap(), Some(1));
    for (turn, status) in [(second, TurnStatus::Interrupted), (running, TurnStatus::Running)] {
        let refused = world.manager.cancel_turn(&world.caller, session, turn.turn_id).await;
        assert!(matches!(refused, Err(Error::NotQueued(is)) if is == status), "{refused:?}");
    }
    permits.add_permits(2);
    world.end(third).await;
    assert_eq!(world.told(), ["one", "three"]);
}
