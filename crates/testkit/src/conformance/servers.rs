//! Servers: one home for each session, and what an earlier one still writes counts no more.

use super::{
    AnyStore, Fixture,
    decisions::decision,
    fixture::{data, first},
    hooks::run,
    queue::{queued, waiting_sessions},
};
use domain::{
    ApprovalDecision, ApprovalOutcome, Entry, EventKind, Generation, Origin, ServerId, SessionId,
    SessionStatus, TurnId,
    journal::data as journalled,
    ports::{Standing, StoreError, StoreResult},
    turn::Begin,
};
use futures::future::join_all;
use serde_json::json;
use std::time::Duration;

/// Longer than any test.
const LEASE: Duration = Duration::from_secs(600);
/// Over as soon as it begins.
const NONE: Duration = Duration::ZERO;

pub async fn a_lease_lasts_until_it_ends_or_is_given_up<S: AnyStore>(store: S) {
    let (one, two) = (ServerId::new(), ServerId::new());
    let renewed = store.renew(one, LEASE).await.unwrap();
    assert!(renewed.had_lapsed, "it never had one");
    assert_eq!(renewed.others, []);
    let renewed = store.renew(two, LEASE).await.unwrap();
    assert_eq!(renewed.others, [one]);
    assert!(!store.renew(one, NONE).await.unwrap().had_lapsed);
    assert_eq!(store.others(two).await.unwrap(), [], "over at once");
    assert!(store.renew(one, LEASE).await.unwrap().had_lapsed);
    assert_eq!(store.others(two).await.unwrap(), [one]);
    store.resign(one).await.unwrap();
    assert_eq!(store.others(two).await.unwrap(), []);
    assert!(store.renew(one, LEASE).await.unwrap().had_lapsed);
}

pub async fn a_server_with_a_lease_can_be_written_and_read<S: AnyStore>(store: S) {
    let (one, other) = (ServerId::new(), ServerId::new());
    store.renew(other, LEASE).await.unwrap();
    let refused = store.write_and_read(one).await.unwrap_err();
    assert!(matches!(refused, StoreError::Inconsistent { table: "servers", .. }), "{refused}");
    store.renew(one, LEASE).await.unwrap();
    store.write_and_read(one).await.unwrap();
    assert!(!store.renew(one, LEASE).await.unwrap().had_lapsed, "the lease is what it was");
}

pub async fn a_session_stays_with_a_home_that_lives<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (f.session().await.id, ServerId::new());
    f.store.renew(f.home, LEASE).await.unwrap();
    let begun = f.begin(session).await;
    assert_eq!((begun.session.server_id, begun.session.generation), (Some(f.home), Generation::FIRST));
    assert_eq!(f.store.take_over(session, other, f.tick()).await.unwrap(), None);
    f.store.end(begun.turn_id, Generation::FIRST, &f.well()).await.unwrap();

    let begin = f.store.begin(&f.prompt(session), SessionStatus::Processing, other).await.unwrap();
    assert_eq!(begin, Begin::Elsewhere);
    queued(&f, &f.prompt(session)).await;
    let begin = f.store.begin_queued(session, SessionStatus::Processing, f.tick(), other).await.unwrap();
    assert_eq!(begin, Some(Begin::Elsewhere));
    assert_eq!(f.reload(session).await.server_id, Some(f.home));
    let begin = f.store.begin_queued(session, SessionStatus::Processing, f.tick(), f.home).await.unwrap();
    assert!(matches!(begin, Some(Begin::Begun(_))), "{begin:?}");
}

pub async fn a_dead_servers_session_goes_to_one_of_those_that_want_it<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    f.store.renew(f.home, NONE).await.unwrap();
    f.begin(session).await;
    let heirs: Vec<_> = (0..4).map(|_| ServerId::new()).collect();
    for heir in &heirs {
        f.store.renew(*heir, LEASE).await.unwrap();
    }
    let at = f.tick();
    let taken = join_all(heirs.iter().map(|heir| f.store.take_over(session, *heir, at))).await;
    let taken: Vec<_> =
        heirs.iter().zip(taken).filter_map(|(heir, taken)| Some((*heir, taken.unwrap()?))).collect();
    let [(heir, generation)] = taken[..] else { panic!("taken by {}", taken.len()) };
    assert_eq!(generation, Generation::FIRST.next());
    let now = f.reload(session).await;
    assert_eq!((now.server_id, now.generation), (Some(heir), generation));
    // The former home is back and has to see that it is too late.
    f.store.renew(f.home, LEASE).await.unwrap();
    assert_eq!(f.store.take_over(session, f.home, f.tick()).await.unwrap(), None);

    // One that runs nothing changes hands when the next turn begins.
    let idle = f.session().await.id;
    let begun = f.begin(idle).await;
    f.store.end(begun.turn_id, Generation::FIRST, &f.well()).await.unwrap();
    f.store.resign(f.home).await.unwrap();
    let prompts: Vec<_> = heirs.iter().map(|_| f.prompt(idle)).collect();
    let begins = heirs.iter().zip(&prompts);
    let begins = begins.map(|(heir, prompt)| f.store.begin(prompt, SessionStatus::Processing, *heir));
    let begun = join_all(begins).await.into_iter().map(Result::unwrap);
    let begun: Vec<_> =
        begun.filter_map(|begin| if let Begin::Begun(b) = begin { Some(b) } else { None }).collect();
    let [begun] = &begun[..] else { panic!("begun {} times", begun.len()) };
    assert_eq!(begun.session.generation, Generation::FIRST.next());
    assert!(heirs.contains(&begun.session.server_id.unwrap()));
}

pub async fn a_server_takes_its_own_back_at_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    f.store.renew(f.home, LEASE).await.unwrap();
    let begun = f.begin(session).await;
    let taken = f.store.take_over(session, f.home, f.tick()).await.unwrap();
    assert_eq!(taken, Some(Generation::FIRST.next()));
    // What its earlier life sent off before it was killed comes too late.
    let late = f.store.end(begun.turn_id, Generation::FIRST, &f.well()).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let ended = f.store.end(begun.turn_id, Generation::FIRST.next(), &f.well()).await.unwrap();
    assert!(ended.is_some());
    let again = f.begin(session).await;
    assert_eq!(again.session.generation, Generation::FIRST.next(), "a home that stays keeps its generation");
}

pub async fn a_stale_generation_is_refused_everywhere<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let begun = f.begin(session).await;
    let (turn, stale) = (begun.turn_id, begun.session.generation);
    let open = f.question(session, turn);
    f.store.open(&open, stale).await.unwrap().unwrap();
    let present = f.store.take_over(session, ServerId::new(), f.tick()).await.unwrap().unwrap();
    let before = (f.journal(session).await, f.reload(session).await);

    let entry = || vec![Entry::Notice(json!({ "what": "late" }))];
    refused(f.store.record(session, stale, Some(turn), entry(), f.tick()).await);
    refused(f.store.end(turn, stale, &f.well()).await);
    refused(f.store.record_decision(&decision(&f, session, Some(turn)), stale).await);
    refused(f.store.open(&f.question(session, turn), stale).await);
    refused(f.store.move_to(session, stale, SessionStatus::Active, f.tick()).await);
    refused(f.store.relocate(session, stale, "/elsewhere", json!({}), f.tick()).await);
    refused(f.store.leave(session, stale).await);
    let run = run(session, "PreToolUse", f.tick());
    let events = f.store.record_hook_runs(first(std::slice::from_ref(&run)), vec![], f.tick()).await.unwrap();
    assert_eq!(events, [], "passed over: others' runs are in the same unit");
    assert!(!f.store.deliver(open.id, stale, f.tick()).await.unwrap());
    assert!(!f.store.use_up(open.id, stale, f.tick()).await.unwrap());
    assert_eq!((f.journal(session).await, f.reload(session).await), before, "nothing has changed");

    // The same in the present generation is taken.
    f.store.record(session, present, Some(turn), entry(), f.tick()).await.unwrap();
    f.store.record_decision(&decision(&f, session, Some(turn)), present).await.unwrap();
    f.store.record_hook_runs(vec![(present, run)], vec![], f.tick()).await.unwrap();
    assert!(f.store.deliver(open.id, present, f.tick()).await.unwrap());
    assert!(f.store.use_up(open.id, present, f.tick()).await.unwrap());
    assert!(f.store.end(turn, present, &f.well()).await.unwrap().is_some());
    let after = f.reload(session).await;
    assert_eq!((after.counters.hook_executions, after.counters.permission_checks), (1, 1));

    // So is telling, of which there must be something to tell.
    let next = f.begin(session).await;
    let (stale, present) = (present, next.session.generation);
    let later = f.question(session, next.turn_id);
    f.store.open(&later, present).await.unwrap().unwrap();
    f.store.end(next.turn_id, present, &f.well()).await.unwrap();
    let told_in = f.begin(session).await.turn_id;
    let expiry = ApprovalDecision { outcome: ApprovalOutcome::Expired, at: later.expires_at };
    f.store.decide(later.id, &expiry, &Origin::system()).await.unwrap();
    refused(f.store.tell(session, stale, told_in, f.tick()).await);
    assert_eq!(f.store.tell(session, present, told_in, f.tick()).await.unwrap().len(), 1);
}

fn refused<T: std::fmt::Debug>(answer: StoreResult<T>) {
    assert!(matches!(answer, Err(StoreError::Fenced)), "{answer:?}");
}

pub async fn a_turn_and_a_queue_are_looked_after_by_the_home_or_by_anybody<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let other = ServerId::new();
    f.store.renew(f.home, LEASE).await.unwrap();
    let (busy, idle, fresh) = (f.session().await.id, f.session().await.id, f.session().await.id);
    let turn = f.begin(busy).await.turn_id;
    let over = f.begin(idle).await.turn_id;
    queued(&f, &f.prompt(idle)).await;
    queued(&f, &f.prompt(fresh)).await;
    f.store.end(over, Generation::FIRST, &f.well()).await.unwrap();
    let running = async |server| {
        let running = f.store.running(server).await.unwrap();
        running.iter().map(|turn| turn.id).collect::<Vec<_>>()
    };
    assert_eq!(running(f.home).await, [turn]);
    assert_eq!(running(other).await, []);
    assert_eq!(waiting_sessions(&f, f.home).await, [idle, fresh]);
    assert_eq!(waiting_sessions(&f, other).await, [fresh], "which nobody has begun");
    f.store.resign(f.home).await.unwrap();
    assert_eq!(running(other).await, [turn]);
    assert_eq!(waiting_sessions(&f, other).await, [idle, fresh]);
}

pub async fn a_stop_is_asked_of_the_turn_that_runs<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (f.session().await.id, f.session().await.id);
    let turn = f.begin(session).await.turn_id;
    let standing = Standing {
        session_id: session,
        status: SessionStatus::Processing,
        home: Some(f.home),
        generation: Generation::FIRST,
        current_turn_id: Some(turn),
        stop_requested: None,
    };
    assert_eq!(f.store.standings(&[session, SessionId::new()]).await.unwrap(), [standing]);
    f.store.request_stop(session, TurnId::new()).await.unwrap();
    assert_eq!(f.store.standings(&[session]).await.unwrap(), [standing], "not that one");
    f.store.request_stop(session, turn).await.unwrap();
    let asked = Standing { stop_requested: Some(turn), ..standing };
    assert_eq!(f.store.standings(&[session]).await.unwrap(), [asked]);
    assert_eq!(f.store.standings(&[session, other]).await.unwrap().len(), 2);
    assert_eq!(f.store.standings(&[]).await.unwrap(), []);
}

pub async fn a_terminated_session_is_left_once_nothing_of_it_is_there<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let by = Generation::FIRST;
    f.store.terminate(session, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(f.store.terminated(f.home, 10).await.unwrap(), [], "its turn runs");
    f.store.end(turn, by, &f.well()).await.unwrap();
    assert_eq!(f.store.terminated(ServerId::new(), 10).await.unwrap(), []);
    assert_eq!(f.store.terminated(f.home, 10).await.unwrap(), [f.reload(session).await]);
    f.store.leave(session, by).await.unwrap();
    assert_eq!(f.store.terminated(f.home, 10).await.unwrap(), []);
    let left = f.reload(session).await;
    assert_eq!((left.server_id, left.generation), (None, by.next()));
}

pub async fn a_session_that_moves_says_so<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let notice = journalled::workspace_missing();
    let (moved, event) =
        f.store.relocate(session, Generation::FIRST, "/here", notice.clone(), f.tick()).await.unwrap();
    assert_eq!(moved, f.reload(session).await);
    assert_eq!(moved.spec.working_directory, "/here");
    assert!(moved.spec.whereabouts.is_at(f.home) && !moved.spec.whereabouts.is_at(ServerId::new()));
    assert_eq!(f.journal(session).await.last(), Some(&event));
    assert_eq!((event.kind, event.turn_id, data(&event)), (EventKind::Notice, Some(turn), &notice));
}
