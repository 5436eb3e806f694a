//! Leases: a server without one runs no agents, and what a former home still does counts for nothing.

use crate::world::{World, kept_waiting, kinds, on_permit, soon};
use domain::{
    Generation, ServerId, SessionStatus, TurnEnd, TurnFailure, TurnStatus,
    ports::{Servers, Turns as _},
};
use engine::Error;
use futures::FutureExt as _;
use sdk_runtime::testing::ScriptedLauncher;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{runtime::Builder, sync::Semaphore, time::Instant};

fn hanging() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        if prompt.text() == "hang" {
            say.hang().await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_renew_its_lease_ends_its_agents_in_time_and_goes_on_when_it_can() {
    let world = World::new(hanging());
    world.manager.recover().await.unwrap();
    assert_eq!(world.manager.lease(), Ok(None));
    let (busy, idle) = (world.session().await, world.session().await);
    world.ask(idle, "one").await;
    let started = world.ask_and_leave(busy, "hang").await;
    let renewed = Instant::now();
    world.leases.is_cut_off.store(true, Ordering::SeqCst);

    let turn = world.end(started).await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Interrupted, Some(TurnFailure::ServerStopped)));
    assert!(renewed.elapsed() < Duration::from_secs(30), "{:?}", renewed.elapsed());
    world.alive(0).await;
    let interrupts =
        world.launcher.agents().iter().map(|agent| agent.controls("interrupt").len()).sum::<usize>();
    assert_eq!(interrupts, 0, "nobody has time to ask");
    assert!(world.manager.lease().is_err());
    assert!(matches!(world.prompt(idle, "two").await, Err(Error::LeaseLost)));

    world.leases.is_cut_off.store(false, Ordering::SeqCst);
    soon(async {
        while world.manager.lease().is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert_eq!(world.ask(idle, "two").await.status, TurnStatus::Completed);
    assert_eq!(world.ask(busy, "go on").await.status, TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_ended_with_the_lease_although_its_turn_waits_for_the_store() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.text("on it");
        say.hang().await;
    });
    let world = World::new(launcher);
    world.manager.recover().await.unwrap();
    let session = world.session().await;
    world.faults.answers_record.send_replace(false);
    let started = world.ask_and_leave(session, "one").await;
    kept_waiting(&world.faults.answers_record, true).await;
    let renewed = Instant::now();
    world.leases.is_cut_off.store(true, Ordering::SeqCst);
    world.alive(0).await;
    assert!(renewed.elapsed() < Duration::from_secs(30), "{:?}", renewed.elapsed());
    assert_eq!(world.faults.answers_record.receiver_count(), 0, "nobody waits for the store any more");

    world.faults.answers_record.send_replace(true);
    let turn = world.end(started).await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Interrupted, Some(TurnFailure::ServerStopped)));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_just_interrupted_is_ended_with_the_lease_too() {
    let world = World::new(hanging().on_control("interrupt", |_| Ok(serde_json::json!({}))));
    world.manager.recover().await.unwrap();
    let session = world.session().await;
    let started = world.ask_and_leave(session, "hang").await;
    let renewed = Instant::now();
    world.leases.is_cut_off.store(true, Ordering::SeqCst);
    let interrupting = async {
        // The lease is over one second later, and the agent's time to come to its result is not.
        tokio::time::sleep(Duration::from_secs(24)).await;
        assert_eq!(world.manager.lease(), Ok(None));
        world.manager.interrupt(&world.caller, session).await.unwrap();
    };
    let dying = async {
        world.alive(0).await;
        renewed.elapsed()
    };
    let ((), lived) = soon(async { tokio::join!(interrupting, dying) }).await;
    assert!((Duration::from_secs(24)..Duration::from_secs(30)).contains(&lived), "{lived:?}");
    assert_eq!(world.end(started).await.failure, Some(TurnFailure::ServerStopped));
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_next_turn_did_not_begin_is_ended_with_the_lease() {
    let (launcher, go_on) = on_permit();
    let world = World::new(launcher);
    world.manager.recover().await.unwrap();
    let session = world.session().await;
    let first = world.ask_and_leave(session, "one").await;
    world.queue(session, "two").await.unwrap();
    world.faults.begins_nothing.store(true, Ordering::SeqCst);
    world.faults.answers_begin.send_replace(false);
    go_on.add_permits(1);
    assert_eq!(world.end(first).await.status, TurnStatus::Completed);
    kept_waiting(&world.faults.answers_begin, true).await;
    world.leases.is_cut_off.store(true, Ordering::SeqCst);
    soon(async {
        while world.manager.lease().is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(world.launcher.alive().len(), 1);
    let refused = Instant::now();
    world.faults.answers_begin.send_replace(true);
    world.alive(0).await;
    assert!(refused.elapsed() < Duration::from_secs(1), "{:?}", refused.elapsed());
}

/// In real time: the thread that everything else runs on stands still.
#[tokio::test]
async fn a_lease_is_kept_while_nothing_else_gets_a_processor() {
    let apart = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let lease = Duration::from_secs(3);
    let world = World::with(hanging(), |settings| {
        settings.server.lease = lease;
        settings.server.lease_runtime = apart.handle().clone();
    });
    world.manager.recover().await.unwrap();
    let session = world.session().await;
    world.ask_and_leave(session, "hang").await;
    world.alive(1).await;
    let another = ServerId::new();
    for _ in 0..3 {
        std::thread::sleep(lease * 2 / 3);
        // No await in between that could let anything else run.
        let living = world.store.others(another).now_or_never().unwrap().unwrap();
        assert_eq!(living, [world.settings.server.id]);
    }
    assert_eq!(world.manager.lease(), Ok(None));
    world.alive(1).await;
    apart.shutdown_background();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stood_still_ends_its_agents_before_anything_else() {
    let world = World::new(hanging());
    world.manager.recover().await.unwrap();
    let session = world.session().await;
    let started = world.ask_and_leave(session, "hang").await;
    // All of its time at once, in which no task of it ran.
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(world.end(started).await.failure, Some(TurnFailure::ServerStopped));
    world.alive(0).await;
    soon(async {
        while world.manager.lease().is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_the_clock_jumps_over_the_end_of_a_lease_only_what_others_took_is_ended() {
    let (launcher, go_on) = on_permit();
    let world = World::new(launcher);
    world.manager.recover().await.unwrap();
    let (kept, taken) = (world.session().await, world.session().await);
    let going_on = world.ask_and_leave(kept, "one").await;
    let lost = world.ask_and_leave(taken, "one").await;
    world.alive(2).await;

    // As it looks to others when the clock goes forward by more than a lease.
    world.store.resign(world.settings.server.id).await.unwrap();
    let other = ServerId::new();
    let at = world.get(taken).await.updated_at;
    let generation = world.store.take_over(taken, other, at).await.unwrap().unwrap();
    let end = TurnEnd {
        status: TurnStatus::Interrupted,
        answer: None,
        answer_message_id: None,
        failure: Some(TurnFailure::ServerStopped),
        error_message: None,
        rounds: 0,
        retries: 0,
        session_status: SessionStatus::Active,
        last_messages: Vec::new(),
        last_lines: Vec::new(),
        called_tools: false,
        agent: None,
        at,
    };
    world.store.end(lost.turn_id, generation, &end).await.unwrap();
    world.alive(1).await;
    assert_eq!(world.manager.lease(), Ok(None), "it goes on");

    go_on.add_permits(1);
    assert_eq!(world.end(going_on).await.status, TurnStatus::Completed);
    assert_eq!(world.get(taken).await.server_id, Some(other));
}

#[tokio::test(start_paused = true)]
async fn what_a_former_home_still_does_is_refused_and_its_agent_ended() {
    let permits = Arc::new(Semaphore::new(0));
    let waits_for = permits.clone();
    let launcher = ScriptedLauncher::new().on_prompt(move |_, say| {
        let permits = waits_for.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            say.text("too late");
        }
    });
    // It never had a lease, which is as good as one that is over.
    let former = World::new(launcher);
    let session = former.session().await;
    let started = former.ask_and_leave(session, "one").await;
    let other = former.another_server(ScriptedLauncher::new());
    assert_eq!(other.manager.recover().await.unwrap(), 1);
    let closed = other.end(started).await;
    assert_eq!((closed.status, closed.failure), (TurnStatus::Interrupted, Some(TurnFailure::ServerStopped)));
    let journal = former.journal(session).await;
    assert_eq!(kinds(&journal).iter().filter(|kind| **kind == "result").count(), 1);

    permits.add_permits(1);
    former.alive(0).await;
    soon(async {
        while former.manager.live_agents() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(former.journal(session).await, journal, "nothing of it is on record");
    assert_eq!(other.ask(session, "two").await.status, TurnStatus::Completed);
    let now = former.get(session).await;
    assert_eq!(now.server_id, Some(other.settings.server.id));
    assert!(now.spec.working_directory.starts_with(&*other.root().display().to_string()), "{now:?}");
    let notices: Vec<_> = kinds(&former.journal(session).await);
    assert!(notices.contains(&"notice"), "it says that its files are gone: {notices:?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_not_used_again_when_the_session_was_elsewhere_or_changed_there() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    world.ask(session, "one").await;
    world.ask(session, "two").await;
    assert_eq!(world.launcher.agents().len(), 1);

    let at = world.get(session).await.updated_at;
    let elsewhere = world.store.take_over(session, ServerId::new(), at).await.unwrap();
    assert_eq!(elsewhere, Some(Generation::FIRST.next()));
    world.ask(session, "three").await;
    assert_eq!(world.launcher.agents().len(), 2);
    assert_eq!(world.get(session).await.generation, Generation::FIRST.next().next());

    let other = world.another_server(ScriptedLauncher::new());
    let patch = domain::session::SessionPatch { model: Some("claude-other".into()), ..Default::default() };
    other.manager.patch(&other.caller, session, patch).await.unwrap();
    world.ask(session, "four").await;
    assert_eq!(world.launcher.agents().len(), 3);
    world.alive(1).await;
}
