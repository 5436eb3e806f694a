//! More prompts than slots: who waits, where, for how long, and who is next.

use crate::world::{World, all, caller, soon};
use domain::{
    Caller, EventBody, EventKind, SessionId, SessionMode, SessionStatus, TurnStatus, session::SessionFilter,
};
use engine::{Error, SessionDraft, StartedTurn, WhenBusy};
use futures::future::join_all;
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Agents that answer one prompt for each permit, and the prompts in the order in which agents got them.
fn on_permit() -> (ScriptedLauncher, Arc<Semaphore>, Arc<Mutex<Vec<String>>>) {
    let (permits, told) = (Arc::new(Semaphore::new(0)), Arc::<Mutex<Vec<String>>>::default());
    let script = (permits.clone(), told.clone());
    let launcher = ScriptedLauncher::new().on_prompt(move |prompt, say| {
        let (permits, told) = script.clone();
        async move {
            told.lock().unwrap().push(prompt.text());
            permits.acquire().await.unwrap().forget();
            say.text(prompt.text());
        }
    });
    (launcher, permits, told)
}

fn slots(launcher: ScriptedLauncher, slots: usize) -> World {
    World::with(launcher, |settings| settings.limits.interactive_agents_max = slots)
}

async fn prompt_of(world: &World, whose: &Caller, text: &str) -> StartedTurn {
    world.knows(whose);
    let session = world.manager.create(whose, SessionDraft::default()).await.unwrap().id;
    world.manager.start_turn(whose, session, json!(text), WhenBusy::Reject).await.unwrap()
}

/// The positions that a turn was told, in order.
async fn positions(world: &World, turn: StartedTurn) -> Vec<u64> {
    let events = world.journal(turn.session_id).await;
    let notices =
        events.iter().filter(|event| event.kind == EventKind::Notice && event.turn_id == Some(turn.turn_id));
    let told = notices.map(|event| match &event.body {
        EventBody::Data(notice) => notice["position"].as_u64().unwrap(),
        EventBody::Message(_) => unreachable!("a notice has data"),
    });
    told.collect()
}

#[tokio::test(start_paused = true)]
async fn a_prompt_without_a_slot_waits_and_begins_as_soon_as_one_is_free() {
    let (launcher, permits, _) = on_permit();
    let world = slots(launcher, 1);
    let (first, second) = (world.session().await, world.session().await);
    let running = world.ask_and_leave(first, "one").await;
    let waiting = world.prompt(second, "two").await.unwrap();
    assert_eq!((waiting.queue_position, world.status(second).await), (Some(1), SessionStatus::Created));
    let again = world.prompt(second, "three").await;
    assert!(matches!(again, Err(Error::Busy(SessionStatus::Created))), "{again:?}");
    permits.add_permits(2);
    // Nobody keeps house here: the seat that is given back wakes the queue.
    assert_eq!(world.end(running).await.status, TurnStatus::Completed);
    assert_eq!(world.end(waiting).await.answer.as_deref(), Some("two"));
    assert_eq!(positions(&world, waiting).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_prompts_on_four_slots_all_run_once_and_nobody_starves() {
    let (launcher, permits, told) = on_permit();
    let world = World::with(launcher, |settings| {
        settings.limits.interactive_agents_max = 4;
        settings.limits.slot_queue_max = 200;
    });
    let greedy: Vec<String> = (0..180).map(|n| format!("greedy {n}")).collect();
    let modest: Vec<String> = (0..20).map(|n| format!("modest {n}")).collect();
    let mut started = vec![];
    for text in &greedy {
        started.push(prompt_of(&world, &world.caller, text).await);
    }
    for text in &modest {
        started.push(prompt_of(&world, &caller(), text).await);
    }
    permits.add_permits(200);
    for turn in &started {
        assert_eq!(world.end(*turn).await.status, TurnStatus::Completed);
    }
    let told = told.lock().unwrap().clone();
    let mut once = told.clone();
    once.sort();
    let mut all = [greedy.clone(), modest].concat();
    all.sort();
    assert_eq!(once, all, "each prompt reached an agent once");
    // In the order of their beginning: which agent is up first is another matter.
    let begun = world.faults.begun.lock().unwrap().clone();
    let begun: Vec<String> = begun.iter().map(|prompt| prompt.as_str().unwrap().to_owned()).collect();
    let last_modest = begun.iter().rposition(|text| text.starts_with("modest")).unwrap();
    assert!(last_modest < 2 * 20, "{last_modest} prompts began before the last modest one");
    let of_greedy: Vec<_> = begun.into_iter().filter(|text| text.starts_with("greedy")).collect();
    assert_eq!(of_greedy, greedy[4..], "one user's prompts begin in their order");
    assert_eq!(world.manager.live_agents(), 4);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_when_its_position_has_halved() {
    let (launcher, permits, _) = on_permit();
    let world = slots(launcher, 1);
    let mut started = vec![];
    for n in 0..9 {
        started.push(prompt_of(&world, &world.caller, &n.to_string()).await);
    }
    let last = started[8];
    assert_eq!(last.queue_position, Some(8));
    let turn = world.manager.turn(&world.caller, last.session_id, last.turn_id).await.unwrap();
    assert_eq!(world.manager.queue_position(&turn).await.unwrap(), Some(8));
    permits.add_permits(9);
    for turn in started {
        let turn = world.end(turn).await;
        assert_eq!(world.manager.queue_position(&turn).await.unwrap(), None);
    }
    assert_eq!(positions(&world, last).await, [8, 4, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_queue_in_front_of_the_slots_has_a_limit() {
    let (launcher, permits, told) = on_permit();
    let world = World::with(launcher, |settings| {
        settings.limits.interactive_agents_max = 2;
        settings.limits.slot_queue_max = 1;
    });
    let mut running = vec![];
    for text in ["one", "two"] {
        running.push(prompt_of(&world, &world.caller, text).await);
        // Whoever is told first gets the first permit.
        while told.lock().unwrap().len() < running.len() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    // As long as no turn has ended, five seconds are thought of one.
    let waiting = prompt_of(&world, &world.caller, "three").await;
    let session = world.session().await;
    let refused = world.prompt(session, "four").await;
    assert!(matches!(refused, Err(Error::NoSlot { limit: 1, retry_after_seconds: 3 })), "{refused:?}");
    let draft = SessionDraft { initial_message: Some("five".into()), ..Default::default() };
    let refused = world.manager.create(&world.caller, draft).await;
    assert!(matches!(refused, Err(Error::NoSlot { .. })), "{refused:?}");
    let behind = world.manager.start_turn(&world.caller, waiting.session_id, json!("six"), WhenBusy::Queue);
    assert_eq!(behind.await.unwrap().queue_position, Some(2), "it waits behind its own session's turn");

    let other = SessionDraft {
        mode: Some(SessionMode::Background),
        initial_message: Some("seven".into()),
        ..Default::default()
    };
    let background = world.session_of(other).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    permits.add_permits(1);
    world.end(running[0]).await;
    world.reaches(waiting.session_id, SessionStatus::Processing).await;
    world.prompt(session, "four").await.unwrap();
    let refused = world.prompt(world.session().await, "eight").await;
    assert!(matches!(refused, Err(Error::NoSlot { retry_after_seconds: 30..=31, .. })), "{refused:?}");
    permits.add_permits(10);
    world.reaches(background, SessionStatus::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_line_a_first_message_begins_at_once_or_there_is_no_session() {
    let (launcher, permits, told) = on_permit();
    let world = World::with(launcher, |settings| {
        settings.limits.interactive_agents_max = 1;
        settings.limits.slot_queue_max = 0;
    });
    let draft = || SessionDraft { initial_message: Some("go".into()), ..Default::default() };
    let session = world.session_of(draft()).await;
    assert_ne!(world.status(session).await, SessionStatus::Created);
    let refused = world.manager.create(&world.caller, draft()).await;
    assert!(matches!(refused, Err(Error::NoSlot { limit: 0, .. })), "{refused:?}");
    let sessions = world.manager.list(&world.caller, &SessionFilter::default(), &all()).await.unwrap();
    assert_eq!(sessions.items.len(), 1);
    permits.add_permits(1);
    world.reaches(session, SessionStatus::Active).await;
    assert_eq!(*told.lock().unwrap(), ["go"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_prompt_does_not_overtake_those_that_wait_for_a_slot() {
    let (launcher, permits, told) = on_permit();
    let world = slots(launcher, 1);
    let session = world.session().await;
    let first = world.ask_and_leave(session, "one").await;
    let second = prompt_of(&world, &caller(), "two").await;
    permits.add_permits(1);
    world.end(first).await;
    world.write_transcript(session).await;
    // Its own agent is idle now, or just gone; either way somebody was here before.
    let third = world.manager.start_turn(&world.caller, session, json!("three"), WhenBusy::Reject).await;
    permits.add_permits(2);
    world.end(second).await;
    world.end(third.unwrap()).await;
    assert_eq!(*told.lock().unwrap(), ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_for_a_slot_outlive_the_server() {
    let (launcher, permits, told) = on_permit();
    let world = slots(launcher, 1);
    let running = prompt_of(&world, &world.caller, "one").await;
    let waiting =
        [prompt_of(&world, &world.caller, "two").await, prompt_of(&world, &world.caller, "three").await];
    soon(async {
        while told.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    world.manager.shut_down(Duration::ZERO).await;
    assert_eq!(world.end(running).await.status, TurnStatus::Interrupted);
    permits.add_permits(2);
    let world = world.next_life();
    world.manager.recover().await.unwrap();
    for turn in waiting {
        assert_eq!(world.end(turn).await.status, TurnStatus::Completed);
    }
    assert_eq!(*told.lock().unwrap(), ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_prompts_at_one_instant_are_all_let_in() {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        tokio::task::yield_now().await;
        say.text(prompt.text());
    });
    let world = World::with(launcher, |settings| settings.limits.interactive_agents_max = 2);
    let sessions = join_all((0..20).map(|_| world.session())).await;
    for round in 0..10 {
        let all = sessions.iter().map(|session: &SessionId| world.prompt(*session, "go"));
        let started = join_all(all).await;
        for turn in started {
            let turn = world.end(turn.unwrap()).await;
            assert_eq!(turn.status, TurnStatus::Completed, "round {round}");
        }
    }
    let events = world.journal(sessions[0]).await;
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::Result).count(), 10);
}
