//! A store that fails in the middle of a turn, and a server that panics.

use crate::world::World;
use domain::{SessionStatus, TurnFailure, TurnStatus};
use sdk_runtime::{Error, Invocation, Launcher, Transport, testing::ScriptedLauncher};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

#[tokio::test(start_paused = true)]
async fn a_turn_that_cannot_be_recorded_is_stopped_and_its_agent_killed() {
    let world = World::new(ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.text("this is never read");
        say.hang().await;
    }));
    let session = world.session().await;
    world.faults.records.store(1, Ordering::SeqCst);
    let turn = world.ask(session, "one").await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Failed, Some(TurnFailure::NotRecorded)));
    assert_eq!(turn.retries, 0);
    assert!(!world.launcher.last_agent().is_alive());
    assert_eq!(world.access.open(), [""; 0]);
    assert_eq!(world.status(session).await, SessionStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_turn_is_recorded_although_the_store_failed_twice() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    world.faults.ends.store(2, Ordering::SeqCst);
    let turn = world.ask(session, "one").await;
    assert_eq!((turn.status, turn.answer.as_deref()), (TurnStatus::Completed, Some("done")));
    assert_eq!(world.faults.ends.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_end_the_store_never_took_is_closed_by_housekeeping() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    world.faults.ends.store(5, Ordering::SeqCst);
    let started = world.prompt(session, "one").await.unwrap();
    let for_ever = tokio_util::sync::CancellationToken::new();
    let keeping = world.manager.keep_house(for_ever);
    let ended = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(world.status(session).await, SessionStatus::Processing);
        world.clock.advance(jiff::SignedDuration::from_secs(61));
        world.end(started).await
    };
    let turn = tokio::select! {
        () = keeping => unreachable!("nobody cancelled it"),
        turn = ended => turn,
    };
    assert_eq!((turn.status, turn.failure), (TurnStatus::Interrupted, Some(TurnFailure::ServerStopped)));
    assert_eq!(world.ask(session, "two").await.status, TurnStatus::Completed);
}

struct Panics;

#[async_trait::async_trait]
impl Launcher for Panics {
    async fn launch(&self, _: &Invocation) -> Result<Transport, Error> {
        unreachable!("this launcher is broken")
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_turn_ends_it_and_frees_its_seat_and_its_token() {
    let world = World::started_by(ScriptedLauncher::new(), Arc::new(Panics), |_| {});
    let session = world.session().await;
    for _ in 0..2 {
        let turn = world.ask(session, "one").await;
        assert_eq!((turn.status, turn.failure), (TurnStatus::Failed, Some(TurnFailure::AgentFailed)));
        assert_eq!(world.manager.live_agents(), 0);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.access.admitted(), 2);
    assert_eq!(world.access.open(), [""; 0]);
}
