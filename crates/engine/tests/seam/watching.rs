//! What watchers see: every event once, and deltas that are never stored.

use crate::world::{World, soon};
use domain::{
    Clock as _, Entry, Event, EventKind, SessionId, SessionStatus, TurnEnd, TurnId, TurnStatus,
    ports::{Journal as _, Turns as _, Wakeup, Wakeups},
    turn::NewTurn,
};
use engine::{Sight, Watch};
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn chatty(deltas: usize) -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(move |_, say| async move {
        // Time for a watcher to catch up.
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..deltas {
            say.delta("la");
        }
        say.text("la".repeat(deltas));
    })
}

/// The numbers a watcher sees until the end of a turn, and how many deltas.
async fn until_result(watch: &mut Watch) -> (Vec<u64>, usize) {
    let (mut seqs, mut deltas) = (vec![], 0);
    loop {
        match soon(watch.next()).await.unwrap() {
            Some(Sight::Event(event)) => {
                seqs.push(event.seq);
                if event.kind == EventKind::Result {
                    return (seqs, deltas);
                }
            }
            Some(Sight::Delta(_)) => deltas += 1,
            None => unreachable!("the watcher was too slow"),
        }
    }
}

/// Lets the watcher read what there is.
async fn caught_up(watch: &mut Watch) {
    let next = tokio::time::timeout(Duration::from_secs(1), watch.next()).await;
    assert!(next.is_err(), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn deltas_reach_watchers_and_are_not_in_the_journal() {
    let world = World::new(chatty(3));
    let session = world.session().await;
    let mut watch = world.manager.watch(&world.caller, session, 0).await.unwrap();
    let started = world.prompt(session, "sing").await.unwrap();
    let (seqs, deltas) = until_result(&mut watch).await;
    assert_eq!(deltas, 3);
    assert_eq!(world.end(started).await.status, TurnStatus::Completed);
    let journalled: Vec<u64> = world.journal(session).await.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, journalled);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_is_too_slow_is_told_to_come_again_and_misses_no_event() {
    let world = World::new(chatty(5000));
    let session = world.session().await;
    let mut watch = world.manager.watch(&world.caller, session, 0).await.unwrap();
    caught_up(&mut watch).await;
    world.ask(session, "sing").await;
    assert!(soon(watch.next()).await.unwrap().is_none(), "something was skipped without a word");
    let mut again = world.manager.watch(&world.caller, session, 0).await.unwrap();
    let (seqs, _) = until_result(&mut again).await;
    assert_eq!(seqs, (1..=world.journal(session).await.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_comes_back_with_its_last_number() {
    let world = World::new(chatty(0));
    let session = world.session().await;
    world.ask(session, "one").await;
    let journal = world.journal(session).await;
    for seq in 0..journal.len() as u64 {
        let mut watch = world.manager.watch(&world.caller, session, seq).await.unwrap();
        let (seqs, _) = until_result(&mut watch).await;
        assert_eq!(seqs, (seq + 1..=journal.len() as u64).collect::<Vec<_>>());
    }
    let part = world.manager.events(&world.caller, session, 2, 3).await.unwrap();
    assert_eq!(part.items.iter().map(|event| event.seq).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(part.next_cursor.as_deref(), Some("5"));
    let all = journal.len() as u64;
    let last = world.manager.events(&world.caller, session, all - 3, 3).await.unwrap();
    assert_eq!((last.items.len(), last.next_cursor), (3, None), "nothing comes after the last");
}

#[tokio::test(start_paused = true)]
async fn who_begins_a_turn_can_pass_over_what_was_before() {
    let world = World::new(chatty(2));
    let session = world.session().await;
    world.ask(session, "one").await;
    let watch = world.manager.watch(&world.caller, session, 0).await.unwrap();
    let started = world.prompt(session, "two").await.unwrap();
    let mut watch = watch.passing_over(started.after_seq);
    let (seqs, deltas) = until_result(&mut watch).await;
    assert_eq!((seqs[0], deltas), (started.after_seq + 1, 2));
}

/// The numbers up to `last`, as one watcher sees them that begins now.
async fn watched(world: &World, session: SessionId, last: u64) -> Vec<u64> {
    let mut watch = world.manager.watch(&world.caller, session, 0).await.unwrap();
    let mut seqs = vec![];
    while seqs.last() != Some(&last) {
        match tokio::time::timeout(Duration::from_secs(60), watch.next()).await.unwrap().unwrap() {
            Some(Sight::Event(event)) => seqs.push(event.seq),
            Some(Sight::Delta(_)) => {}
            None => unreachable!("the watcher was too slow"),
        }
    }
    seqs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn watchers_that_join_at_any_time_see_every_event_exactly_once() {
    const PIECES: usize = 300;
    const WATCHERS: u64 = 20;
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        for piece in 0..PIECES {
            say.text(piece.to_string());
            tokio::task::yield_now().await;
        }
    });
    let world = World::new(launcher);
    let session = world.session().await;
    // The prompt's four, one for each piece, and the end's two.
    let last = PIECES as u64 + 6;
    let started = world.prompt(session, "go").await.unwrap();
    let joining = (0..WATCHERS).map(|late| {
        let world = &world;
        async move {
            tokio::time::sleep(Duration::from_millis(late)).await;
            watched(world, session, last).await
        }
    });
    for seqs in futures::future::join_all(joining).await {
        assert_eq!(seqs, (1..=last).collect::<Vec<_>>());
    }
    assert_eq!(world.end(started).await.status, TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_journalled_is_seen_in_its_place() {
    let world = World::new(chatty(0));
    let session = world.session().await;
    world.ask(session, "one").await;
    let before = world.journal(session).await.len() as u64;
    let mut watch = world.manager.watch(&world.caller, session, before).await.unwrap();
    caught_up(&mut watch).await;
    let at = domain::Clock::now(&world.clock);
    let silent: Vec<Event> = world
        .store
        .record(
            session,
            domain::Generation::FIRST,
            None,
            vec![Entry::Notice(json!({ "what": "silent" }))],
            at,
        )
        .await
        .unwrap();
    world.ask(session, "two").await;
    let (seqs, _) = until_result(&mut watch).await;
    assert_eq!(seqs[0], silent[0].seq);
    let last = world.journal(session).await.len() as u64;
    assert_eq!(seqs, (before + 1..=last).collect::<Vec<_>>());
}

/// Another server on the store, as far as it is heard.
struct OtherServer(tokio::sync::Mutex<tokio::sync::mpsc::UnboundedReceiver<Wakeup>>);

#[async_trait::async_trait]
impl Wakeups for OtherServer {
    async fn exchange(&self, heard: &(dyn Fn(Wakeup) + Send + Sync)) {
        while let Some(wakeup) = self.0.lock().await.recv().await {
            heard(wakeup);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_server_wrote_is_seen_when_it_says_so_and_a_turn_that_ended_there_is_over() {
    let world = World::new(chatty(0));
    let session = world.session().await;
    let (said, heard) = tokio::sync::mpsc::unbounded_channel();
    let other = OtherServer(tokio::sync::Mutex::new(heard));
    let revocations = engine::Revocations::default();
    let hearing = world.manager.hear_others(&other, &revocations, CancellationToken::new());
    let seeing = async {
        let mut watch = world.manager.watch(&world.caller, session, 0).await.unwrap();
        caught_up(&mut watch).await;
        let store = &world.store;
        for wakeup in [Wakeup::Session(session), Wakeup::Anywhere] {
            let prompt = json!("do it");
            let turn = NewTurn {
                id: TurnId::new(),
                session_id: session,
                prompt,
                payers: Vec::new(),
                at: world.clock.now(),
            };
            store.begin(&turn, SessionStatus::Processing, world.settings.server.id).await.unwrap();
            said.send(wakeup).unwrap();
            let first = soon(watch.next()).await.unwrap();
            assert!(matches!(first, Some(Sight::Event(event)) if event.kind == EventKind::StatusChange));

            let waiting = world.manager.wait_for_turn(session, turn.id);
            let ending = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let end = TurnEnd {
                    status: TurnStatus::Completed,
                    answer: None,
                    answer_message_id: None,
                    failure: None,
                    error_message: None,
                    rounds: 1,
                    retries: 0,
                    session_status: SessionStatus::Active,
                    last_messages: Vec::new(),
                    last_lines: Vec::new(),
                    called_tools: false,
                    agent: None,
                    at: world.clock.now(),
                };
                store.end(turn.id, domain::Generation::FIRST, &end).await.unwrap();
                said.send(wakeup).unwrap();
            };
            let (ended, ()) = tokio::join!(soon(waiting), ending);
            assert_eq!(ended.unwrap().status, TurnStatus::Completed);
            until_result(&mut watch).await;
        }
    };
    tokio::select! {
        () = hearing => unreachable!("nobody cancelled it"),
        () = seeing => {}
    }
}

#[tokio::test(start_paused = true)]
async fn agents_of_whom_another_server_gave_other_hooks_make_room() {
    let world = World::new(chatty(0));
    let session = world.session().await;
    let (said, heard) = tokio::sync::mpsc::unbounded_channel();
    let other = OtherServer(tokio::sync::Mutex::new(heard));
    let revocations = engine::Revocations::default();
    let hearing = world.manager.hear_others(&other, &revocations, CancellationToken::new());
    let seeing = async {
        let ours = Wakeup::Agents(Some(world.caller.user_id));
        for wakeup in [ours, Wakeup::Agents(None), Wakeup::Anywhere] {
            world.ask(session, "sing").await;
            world.alive(1).await;
            said.send(Wakeup::Agents(Some(domain::UserId::new()))).unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.alive(1).await;
            said.send(wakeup).unwrap();
            world.alive(0).await;
        }
        assert_eq!(world.launcher.agents().len(), 3);
        // Nothing is heard at all, and every second something may be missed.
        world.ask(session, "sing").await;
        for _ in 0..50 {
            said.send(Wakeup::Anywhere).unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        world.alive(1).await;
        // Long before an idle agent is closed for that.
        let since = tokio::time::Instant::now();
        let keeping = world.manager.keep_house(CancellationToken::new());
        tokio::select! {
            () = keeping => unreachable!("nobody cancelled it"),
            () = world.alive(0) => {}
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    };
    tokio::select! {
        () = hearing => unreachable!("nobody cancelled it"),
        () = seeing => {}
    }
}
