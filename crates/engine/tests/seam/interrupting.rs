//! Prompts that interrupt the turn before them.

use crate::world::{World, soon};
use domain::{EventKind, SessionMode, SessionStatus, TurnFailure, TurnStatus};
use engine::{Error, SessionDraft};
use futures::future::join_all;
use sdk_runtime::testing::ScriptedLauncher;

fn hanging() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        if prompt.text().starts_with("hang") {
            say.hang().await;
        }
        say.text(prompt.text());
    })
}

#[tokio::test(start_paused = true)]
async fn it_is_the_next_to_run_before_those_that_wait() {
    let world = World::new(hanging());
    let session = world.session().await;
    let running = world.ask_and_leave(session, "hang").await;
    let queued = world.queue(session, "queued").await.unwrap();
    let urgent = world.interrupt_with(session, "urgent").await.unwrap();
    assert_eq!(urgent.queue_position, Some(1));
    let interrupted = world.end(running).await;
    assert_eq!(
        (interrupted.status, interrupted.failure),
        (TurnStatus::Interrupted, Some(TurnFailure::Interrupted))
    );
    assert_eq!(world.end(urgent).await.answer.as_deref(), Some("urgent"));
    assert_eq!(world.end(queued).await.answer.as_deref(), Some("queued"));
    assert_eq!(world.told(), ["hang", "urgent", "queued"]);
    assert_eq!(world.launcher.agents().len(), 1, "an interrupted agent goes on");
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_interrupt_it_just_runs() {
    let world = World::new(hanging());
    let session = world.session().await;
    let started = world.interrupt_with(session, "go").await.unwrap();
    assert_eq!(started.queue_position, None);
    assert_eq!(world.end(started).await.status, TurnStatus::Completed);
    world.manager.pause(&world.caller, session).await.unwrap();
    let refused = world.interrupt_with(session, "more").await;
    assert!(matches!(refused, Err(Error::WrongState(SessionStatus::Paused))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_only_just_beginning_is_interrupted_too() {
    let world = World::new(hanging());
    let session = world.session().await;
    world.faults.answers_begin.send_replace(false);
    let beginning = {
        let (manager, caller) = (world.manager.clone(), world.caller.clone());
        #[expect(clippy::disallowed_methods, reason = "is awaited below")]
        let beginning = tokio::spawn(async move {
            manager.start_turn(&caller, session, "hang".into(), engine::WhenBusy::Reject).await
        });
        beginning
    };
    world.reaches(session, SessionStatus::Connecting).await;
    let urgent = world.interrupt_with(session, "urgent").await.unwrap();
    world.faults.answers_begin.send_replace(true);
    let first = beginning.await.unwrap().unwrap();
    assert_eq!(world.end(first).await.status, TurnStatus::Interrupted);
    assert_eq!(world.end(urgent).await.status, TurnStatus::Completed);
    assert_eq!(world.told(), ["urgent"]);
}

#[tokio::test(start_paused = true)]
async fn background_work_that_is_interrupted_goes_on_with_the_new_prompt() {
    let world = World::new(hanging());
    let draft = SessionDraft {
        mode: Some(SessionMode::Background),
        initial_message: Some("hang".into()),
        ..Default::default()
    };
    let session = world.session_of(draft).await;
    world.reaches(session, SessionStatus::Processing).await;
    let urgent = world.interrupt_with(session, "instead").await.unwrap();
    assert_eq!(soon(world.end(urgent)).await.status, TurnStatus::Completed);
    assert_eq!(world.status(session).await, SessionStatus::Completed);
}

/// Whatever the order: a prompt interrupts what it found, never itself, and each runs at most once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_one_instant_each_run_once_or_are_interrupted() {
    let world = World::with(ScriptedLauncher::new(), |settings| settings.limits.queue_max = 20);
    let session = world.session().await;
    for round in 0..20 {
        let texts: Vec<String> = (0..10).map(|n| format!("{round} {n}")).collect();
        let started = join_all(texts.iter().map(|text| world.interrupt_with(session, text))).await;
        let mut completed = 0;
        for turn in started {
            let turn = world.end(turn.unwrap()).await;
            assert!(
                turn.status == TurnStatus::Completed || turn.failure == Some(TurnFailure::Interrupted),
                "{turn:?}"
            );
            completed += usize::from(turn.status == TurnStatus::Completed);
        }
        assert!(completed > 0, "round {round}: the last one has nobody to interrupt it");
    }
    let mut told = world.told();
    let all = told.len();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), all, "no prompt was told twice");
    let events = world.journal(session).await;
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::Result).count(), 200);
}
