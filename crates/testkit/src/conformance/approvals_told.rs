//! Decisions on their way to an agent: told once, good for one call.

use super::{AnyStore, Fixture};
use domain::{
    Approval, ApprovalAnswer, ApprovalOutcome, Generation, SessionId, SessionMode, SessionStatus, TurnId,
    TurnStatus,
    ports::{Sessions, Turns},
};
use futures::future::join_all;

/// A question whose turn ended, as after a crash, and which a person then answered.
async fn answered_after_its_turn<S: AnyStore>(
    f: &Fixture<S>,
    session: SessionId,
    answer: ApprovalAnswer,
) -> Approval {
    let turn = f.begin(session).await.turn_id;
    let approval = f.ask(session, turn).await;
    f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap();
    f.decide(approval.id, ApprovalOutcome::Answered(answer)).await.approval().clone()
}

pub async fn a_decision_is_delivered_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let approval = f.ask(session, turn).await;
    f.decide(approval.id, ApprovalOutcome::Answered(f.says(true))).await;
    assert_eq!(f.store.to_go_on(10).await.unwrap(), [], "its turn runs, so its agent is there to be told");
    let now = f.tick();
    assert!(f.store.deliver(approval.id, Generation::FIRST, now).await.unwrap());
    assert!(!f.store.deliver(approval.id, Generation::FIRST, f.tick()).await.unwrap());
    assert_eq!(f.approval(&approval).await.delivered_at, Some(now));
}

pub async fn a_decision_nobody_learned_of_is_told_in_a_later_turn_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let first = answered_after_its_turn(&f, session, f.says(true)).await;
    let second = answered_after_its_turn(&f, session, f.says(false)).await;
    let elsewhere = answered_after_its_turn(&f, f.session().await.id, f.says(true)).await;
    let to_go_on = f.store.to_go_on(10).await.unwrap();
    assert_eq!(to_go_on, [first.clone(), elsewhere.clone()], "a no waits for the next prompt");

    let turn = f.begin(session).await.turn_id;
    let told = f.store.tell(session, Generation::FIRST, turn, f.tick()).await.unwrap();
    let ids: Vec<_> = told.iter().map(|approval| approval.id).collect();
    assert_eq!(ids, [first.id, second.id]);
    assert!(told.iter().all(|approval| approval.told_in == Some(turn) && approval.delivered_at.is_some()));
    assert_eq!(told[0], f.approval(&first).await);
    assert_eq!(f.store.tell(session, Generation::FIRST, turn, f.tick()).await.unwrap(), []);
    f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap();
    assert_eq!(f.store.to_go_on(10).await.unwrap(), [elsewhere]);
}

pub async fn a_background_session_goes_on_with_a_no_too<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let mut background = super::fixture::session(f.user.id, f.tick());
    background.mode = SessionMode::Background;
    Sessions::create(&f.store, &background, &domain::Origin::system()).await.unwrap();
    let denied = answered_after_its_turn(&f, background.id, f.says(false)).await;
    assert_eq!(f.store.to_go_on(10).await.unwrap(), [denied]);
    f.store.move_to(background.id, Generation::FIRST, SessionStatus::Paused, f.tick()).await.unwrap();
    assert_eq!(f.store.to_go_on(10).await.unwrap(), [], "not while a person has set it aside");
}

pub async fn a_session_goes_on_with_one_turn_for_a_decision<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let approval = answered_after_its_turn(&f, session, f.says(true)).await;
    let (one, two) = (f.prompt(session), f.prompt(session));
    let race = [&one, &two].map(|turn| f.store.go_on(approval.id, turn));
    let events: Vec<_> = join_all(race).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(events.len(), 1, "{events:?}");
    let turn = events[0].turn_id.unwrap();
    assert_eq!(f.turn(session, turn).await.status, TurnStatus::Queued);
    assert_eq!(f.approval(&approval).await.told_in, Some(turn));
    assert_eq!(f.store.to_go_on(10).await.unwrap(), []);
    let all = Turns::list(&f.store, session, &domain::PageRequest::first(10)).await.unwrap();
    assert_eq!(all.items.len(), 2);
    f.journal(session).await;
}

pub async fn what_stands_is_what_was_remembered_and_what_was_told_and_not_used<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let remembered = ApprovalAnswer { remember: true, ..f.says(true) };
    let forgotten = ApprovalAnswer { remember: true, ..f.says(false) };
    let remembered = answered_after_its_turn(&f, session, remembered).await;
    let denied = answered_after_its_turn(&f, session, forgotten).await;
    f.store.tell(session, Generation::FIRST, TurnId::new(), f.tick()).await.unwrap();
    let once = answered_after_its_turn(&f, session, f.says(true)).await;
    let turn = f.begin(session).await.turn_id;
    f.store.tell(session, Generation::FIRST, turn, f.tick()).await.unwrap();

    let ids = async |turn| {
        let standing = f.store.standing(session, turn).await.unwrap();
        standing.into_iter().map(|approval| approval.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(turn).await, [remembered.id, once.id]);
    assert_eq!(ids(TurnId::new()).await, [remembered.id], "a yes is good for the turn it was told in");
    assert!(!ids(turn).await.contains(&denied.id));
    assert!(f.store.use_up(once.id, Generation::FIRST, f.tick()).await.unwrap());
    assert!(!f.store.use_up(once.id, Generation::FIRST, f.tick()).await.unwrap());
    assert_eq!(ids(turn).await, [remembered.id]);
    assert_eq!(f.store.standing(f.session().await.id, turn).await.unwrap(), []);
}
