//! The server's life: what a former one left behind, and how this one ends.

use crate::world::{World, kept_waiting, soon};
use domain::{
    EventBody, EventKind, SessionStatus, TurnFailure, TurnStatus,
    ports::Turns as _,
    turn::{Begin, NewTurn},
};
use engine::{Error, SessionDraft, Sight};
use sdk_runtime::testing::ScriptedLauncher;
use std::time::Duration;
use tokio::time::Instant;

fn hanging() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        match prompt.text().as_str() {
            "hang" => say.hang().await,
            "slow" => tokio::time::sleep(Duration::from_secs(5)).await,
            _ => {}
        }
        say.text("done");
    })
}

#[tokio::test(start_paused = true)]
async fn turns_of_a_former_life_are_closed_once() {
    let world = World::new(hanging());
    let session = world.session().await;
    let new = NewTurn {
        id: domain::TurnId::new(),
        session_id: session,
        prompt: "lost".into(),
        payers: Vec::new(),
        at: domain::Clock::now(&world.clock),
    };
    let begun = world.store.begin(&new, SessionStatus::Processing, world.settings.server.id).await.unwrap();
    assert!(matches!(begun, Begin::Begun(_)), "{begun:?}");

    let world = world.next_life();
    assert_eq!(world.manager.recover().await.unwrap(), 1);
    assert_eq!(world.manager.recover().await.unwrap(), 0);
    let turn = world.manager.turn(&world.caller, session, new.id).await.unwrap();
    assert_eq!((turn.status, turn.failure), (TurnStatus::Interrupted, Some(TurnFailure::ServerStopped)));
    let events = world.journal(session).await;
    let results: Vec<_> = events.iter().filter(|event| event.kind == EventKind::Result).collect();
    assert_eq!(results.len(), 1);
    let EventBody::Data(result) = &results[0].body else { unreachable!("a result has data") };
    assert_eq!(result["error_code"], "SERVER_STOPPED");
    assert_eq!(world.ask(session, "next").await.status, TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_ends_within_the_grace_period_is_let_be() {
    let world = World::new(hanging());
    let session = world.session().await;
    let started = world.ask_and_leave(session, "slow").await;
    let begun = Instant::now();
    soon(world.manager.shut_down(Duration::from_secs(20))).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(world.end(started).await.status, TurnStatus::Completed);
    assert_eq!(world.launcher.alive().len(), 0);
    assert_eq!(world.access.open(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_takes_no_work_and_leaves_no_agent() {
    let world = World::new(hanging());
    let (session, idle) = (world.session().await, world.session().await);
    world.ask(idle, "quick").await;
    let started = world.ask_and_leave(session, "hang").await;
    let mut watch = world.manager.watch(&world.caller, session, 0).await.unwrap();
    let begun = Instant::now();
    let ending = {
        let manager = world.manager.clone();
        async move { manager.shut_down(Duration::from_secs(20)).await }
    };
    let refused = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let prompted = world.prompt(idle, "more").await;
        assert!(matches!(prompted, Err(Error::ShuttingDown)), "{prompted:?}");
        let created = world.manager.create(&world.caller, SessionDraft::default()).await;
        assert!(matches!(created, Err(Error::ShuttingDown)), "{created:?}");
        assert!(world.manager.is_draining());
    };
    soon(async { tokio::join!(ending, refused) }).await;
    assert!(begun.elapsed() >= Duration::from_secs(20));
    let turn = world.end(started).await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Interrupted, Some(TurnFailure::ServerStopped)));
    assert_eq!(world.launcher.alive().len(), 0);
    assert_eq!(world.access.open(), [""; 0]);
    assert_eq!(world.manager.live_agents(), 0);

    let mut last = None;
    let end = loop {
        match soon(watch.next()).await {
            Ok(Some(Sight::Event(event))) => last = Some(event.kind),
            Ok(Some(Sight::Delta(_))) => {}
            other => break other,
        }
    };
    assert_eq!(last, Some(EventKind::Result), "the watcher missed the end");
    assert!(matches!(end, Err(Error::ShuttingDown)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_begins_after_the_end_ends_too() {
    let world = World::new(hanging());
    let session = world.session().await;
    soon(world.manager.shut_down(Duration::ZERO)).await;
    let mut watch = world.manager.watch(&world.caller, session, 0).await.unwrap();
    let end = soon(watch.next()).await;
    assert!(matches!(end, Err(Error::ShuttingDown)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_just_beginning_is_waited_for() {
    let world = World::new(hanging());
    let session = world.session().await;
    world.faults.answers_begin.send_replace(false);
    let prompting = async {
        let started = world.prompt(session, "one").await.unwrap();
        world.end(started).await
    };
    let ending = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.manager.shut_down(Duration::from_secs(20)).await;
        world.launcher.alive().len()
    };
    let opening = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.faults.answers_begin.send_replace(true);
    };
    let (turn, alive, ()) = soon(async { tokio::join!(prompting, ending, opening) }).await;
    assert_eq!((turn.status, alive), (TurnStatus::Completed, 0));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_waits_for_a_starting_agent_begins_nothing_once_the_server_ends() {
    let world = World::new(ScriptedLauncher::new().silent_at_start());
    let session = world.session().await;
    world.manager.wake(&world.caller, session).await.unwrap();
    world.launcher.launched(1).await;
    let ending = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.manager.shut_down(Duration::from_secs(5)).await;
    };
    let (prompted, ()) = soon(async { tokio::join!(world.prompt(session, "one"), ending) }).await;
    assert!(matches!(prompted, Err(Error::ShuttingDown)), "{prompted:?}");
    assert_eq!(world.launcher.agents().len(), 1);
    assert_eq!(world.journal(session).await, []);
    assert_eq!((world.launcher.alive().len(), world.manager.live_agents()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_queued_turn_does_not_begin_once_the_server_ends() {
    let world = World::with(hanging(), |settings| settings.limits.interactive_agents_max = 2);
    let mut running = vec![];
    for _ in 0..2 {
        let session = world.session().await;
        running.push(world.ask_and_leave(session, "hang").await);
    }
    let (first, second) = (world.session().await, world.session().await);
    let first = world.queue(first, "first").await.unwrap();
    let second = world.queue(second, "second").await.unwrap();
    world.faults.answers_begin.send_replace(false);
    for turn in running {
        soon(world.manager.interrupt(&world.caller, turn.session_id)).await.unwrap();
    }
    kept_waiting(&world.faults.answers_begin, true).await;
    let opening = async {
        while !world.manager.is_draining() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.faults.answers_begin.send_replace(true);
    };
    soon(async { tokio::join!(world.manager.shut_down(Duration::from_secs(20)), opening) }).await;
    assert_eq!(world.end(first).await.status, TurnStatus::Completed, "it had begun");
    let second = world.manager.turn(&world.caller, second.session_id, second.turn_id).await.unwrap();
    assert_eq!(second.status, TurnStatus::Queued, "the next life begins it");
}
