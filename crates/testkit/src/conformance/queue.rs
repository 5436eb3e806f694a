//! Turns that wait for the one before them.

use super::{
    AnyStore, Fixture,
    fixture::{data, kinds},
};
use domain::{
    Event, Generation, Origin, ServerId, SessionId, SessionStatus, TurnEnd, TurnFailure, TurnId, TurnStatus,
    ports::{Moved, StoreError, Turns},
    turn::{Begin, Enqueued, NewTurn, QueuePlace, WaitingTurn},
};
use serde_json::json;

const LAST: QueuePlace = QueuePlace::Last { waiting_max: 5 };
const FIRST: QueuePlace = QueuePlace::First { waiting_max: 5 };

/// The notice of a prompt that was queued behind the others.
pub(super) async fn queued<S: AnyStore>(f: &Fixture<S>, prompt: &NewTurn) -> Event {
    placed(f, prompt, LAST).await.0
}

/// The notice of a prompt that was queued in this place, and what ran meanwhile.
async fn placed<S: AnyStore>(f: &Fixture<S>, prompt: &NewTurn, place: QueuePlace) -> (Event, Option<TurnId>) {
    match f.store.enqueue(prompt, place, 0).await.unwrap() {
        Enqueued::Queued { event, position, running } => {
            assert_eq!(data(&event)["position"].as_u64(), Some(position));
            (event, running)
        }
        refused => panic!("{refused:?}"),
    }
}

/// The sessions in which a turn could begin on this server.
pub(super) async fn waiting_sessions<S: AnyStore>(f: &Fixture<S>, home: ServerId) -> Vec<SessionId> {
    f.store.waiting(home).await.unwrap().into_iter().map(|turn| turn.session_id).collect()
}

pub async fn queued_turns_begin_in_their_order<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let (id, next) = (session.id, SessionStatus::Connecting);
    assert_eq!(f.store.begin_queued(id, next, f.tick(), f.home).await.unwrap(), None);
    let mut running = f.begin(id).await.turn_id;
    let mut waiting = Vec::new();
    for n in 0..3 {
        let mut prompt = f.prompt(id);
        prompt.prompt = json!(format!("prompt {n}"));
        let notice = queued(&f, &prompt).await;
        let expected = json!({ "what": "turn_queued", "position": n + 1 });
        assert_eq!((notice.turn_id, data(&notice)), (Some(prompt.id), &expected));
        let turn = f.turn(id, prompt.id).await;
        assert_eq!((turn.status, turn.prompt_message_id, turn.started_at), (TurnStatus::Queued, None, None));
        waiting.push(prompt);
    }
    let busy = f.store.begin_queued(id, next, f.tick(), f.home).await.unwrap();
    assert_eq!(busy, Some(Begin::Refused(SessionStatus::Processing)));
    for prompt in waiting {
        f.store.end(running, Generation::FIRST, &f.well()).await.unwrap();
        let at = f.tick();
        let Some(Begin::Begun(begun)) = f.store.begin_queued(id, next, at, f.home).await.unwrap() else {
            panic!("the queued turn did not begin");
        };
        assert_eq!((begun.turn_id, &begun.prompt), (prompt.id, &prompt.prompt));
        assert_eq!(kinds(&begun.events), ["status_change", "message", "message_sent"]);
        let turn = f.turn(id, prompt.id).await;
        assert_eq!((turn.status, turn.created_at), (TurnStatus::Running, prompt.at));
        assert_eq!(turn.started_at, Some(at));
        running = begun.turn_id;
    }
    f.store.end(running, Generation::FIRST, &f.well()).await.unwrap();
    assert_eq!(f.store.begin_queued(id, next, f.tick(), f.home).await.unwrap(), None);
    assert_eq!(f.reload(id).await.counters.messages, 4);
    f.journal(id).await;
}

pub async fn a_queue_has_a_limit<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let running = f.begin(session.id).await.turn_id;
    let no_room = QueuePlace::Last { waiting_max: 0 };
    assert_eq!(f.store.enqueue(&f.prompt(session.id), no_room, 0).await.unwrap(), Enqueued::Full);
    let two = QueuePlace::Last { waiting_max: 2 };
    for _ in 0..2 {
        placed(&f, &f.prompt(session.id), two).await;
    }
    let refused = f.prompt(session.id);
    for place in [two, QueuePlace::First { waiting_max: 2 }] {
        assert_eq!(f.store.enqueue(&refused, place, 0).await.unwrap(), Enqueued::Full);
    }
    assert_eq!(Turns::get(&f.store, session.id, refused.id).await.unwrap(), None);
    assert_eq!(f.journal(session.id).await.len(), 5);
    f.store.end(running, Generation::FIRST, &f.well()).await.unwrap();
    f.store.begin_queued(session.id, SessionStatus::Processing, f.tick(), f.home).await.unwrap();
    placed(&f, &refused, two).await;
    let nowhere = f.store.enqueue(&f.prompt(SessionId::new()), two, 0).await;
    assert!(matches!(nowhere, Err(StoreError::Inconsistent { .. })), "{nowhere:?}");
}

pub async fn a_place_in_the_queue_counts_those_ahead_in_other_sessions<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    for (n, prompt) in [f.prompt(session.id), f.prompt(session.id)].iter().enumerate() {
        let enqueued = f.store.enqueue(prompt, LAST, 7).await.unwrap();
        let Enqueued::Queued { position, running, .. } = enqueued else { panic!("{enqueued:?}") };
        assert_eq!((position, running), (8 + n as u64, None));
    }
}

pub async fn a_prompt_that_will_not_wait_for_others_is_queued_alone<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    placed(&f, &f.prompt(session.id), QueuePlace::Alone).await;
    let second = f.store.enqueue(&f.prompt(session.id), QueuePlace::Alone, 0).await.unwrap();
    assert_eq!(second, Enqueued::Busy(SessionStatus::Created));

    let busy = f.session().await;
    f.begin(busy.id).await;
    let behind = f.store.enqueue(&f.prompt(busy.id), QueuePlace::Alone, 0).await.unwrap();
    assert_eq!(behind, Enqueued::Busy(SessionStatus::Processing));
    assert_eq!(f.store.queue(busy.id).await.unwrap(), []);
}

pub async fn a_prompt_may_go_before_those_that_wait<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let id = f.session().await.id;
    let running = f.begin(id).await.turn_id;
    let [one, two, three, four] = std::array::from_fn(|_| f.prompt(id));
    for (prompt, place, position) in [(&one, LAST, 1), (&two, FIRST, 1), (&three, FIRST, 1), (&four, LAST, 4)]
    {
        let (event, beside) = placed(&f, prompt, place).await;
        assert_eq!((data(&event)["position"].as_u64(), beside), (Some(position), Some(running)));
    }
    let order = [three.id, two.id, one.id, four.id];
    assert_eq!(f.store.queue(id).await.unwrap(), order);
    f.store.end(running, Generation::FIRST, &f.well()).await.unwrap();
    for next in order {
        let begun = f.store.begin_queued(id, SessionStatus::Processing, f.tick(), f.home).await.unwrap();
        let Some(Begin::Begun(begun)) = begun else { panic!("{begun:?}") };
        assert_eq!(begun.turn_id, next);
        f.store.end(next, Generation::FIRST, &f.well()).await.unwrap();
    }
}

pub async fn a_new_prompt_does_not_overtake_those_that_wait<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let id = f.session().await.id;
    let waiting = f.prompt(id);
    queued(&f, &waiting).await;
    let fresh = f.prompt(id);
    assert_eq!(f.store.begin(&fresh, SessionStatus::Processing, f.home).await.unwrap(), Begin::Behind);
    assert_eq!(Turns::get(&f.store, id, fresh.id).await.unwrap(), None);
    f.store.cancel_queued(id, None, f.tick()).await.unwrap();
    let begun = f.store.begin(&fresh, SessionStatus::Processing, f.home).await.unwrap();
    assert!(matches!(begun, Begin::Begun(_)), "{begun:?}");
}

pub async fn nothing_is_queued_in_a_session_that_takes_no_prompts<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for status in [SessionStatus::Paused, SessionStatus::Failed, SessionStatus::Terminated] {
        let session = f.session().await;
        f.store.move_to(session.id, Generation::FIRST, status, f.tick()).await.unwrap();
        for place in [QueuePlace::Alone, LAST, FIRST] {
            let answer = f.store.enqueue(&f.prompt(session.id), place, 0).await.unwrap();
            assert_eq!(answer, Enqueued::Refused(status));
        }
        assert_eq!(f.journal(session.id).await.len(), 1);
    }
}

pub async fn cancelled_turns_end_as_interrupted<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let running = f.begin(session.id).await.turn_id;
    let waiting = [f.prompt(session.id), f.prompt(session.id)];
    for prompt in &waiting {
        queued(&f, prompt).await;
    }
    let at = f.tick();
    let events = f.store.cancel_queued(session.id, None, at).await.unwrap();
    assert_eq!(kinds(&events), ["result", "result"]);
    for (event, prompt) in events.iter().zip(&waiting) {
        assert_eq!(event.turn_id, Some(prompt.id));
        assert_eq!(data(event)["status"], json!("interrupted"));
        assert_eq!(data(event)["error_code"], json!("INTERRUPTED"));
        let turn = f.turn(session.id, prompt.id).await;
        assert_eq!((turn.status, turn.failure), (TurnStatus::Interrupted, Some(TurnFailure::Interrupted)));
        assert_eq!(turn.completed_at, Some(at));
    }
    assert_eq!(f.journal(session.id).await[5..], events);
    assert_eq!(f.turn(session.id, running).await.status, TurnStatus::Running);
    assert_eq!(f.store.cancel_queued(session.id, None, f.tick()).await.unwrap(), []);
    assert_eq!(f.store.cancel_queued(SessionId::new(), None, f.tick()).await.unwrap(), []);
    assert_eq!(f.reload(session.id).await.counters.errors, 0);
}

pub async fn one_queued_turn_is_cancelled_and_the_others_stay<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let id = f.session().await.id;
    let running = f.begin(id).await.turn_id;
    let [one, two, three] = std::array::from_fn(|_| f.prompt(id));
    for prompt in [&one, &two, &three] {
        queued(&f, prompt).await;
    }
    let events = f.store.cancel_queued(id, Some(two.id), f.tick()).await.unwrap();
    assert_eq!((kinds(&events), events[0].turn_id), (vec!["result"], Some(two.id)));
    assert_eq!(f.store.queue(id).await.unwrap(), [one.id, three.id]);
    for not_queued in [two.id, running, TurnId::new()] {
        assert_eq!(f.store.cancel_queued(id, Some(not_queued), f.tick()).await.unwrap(), []);
    }
    let elsewhere = f.session().await.id;
    assert_eq!(f.store.cancel_queued(elsewhere, Some(one.id), f.tick()).await.unwrap(), []);
}

pub async fn the_next_of_each_queue_is_found_oldest_first<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (late, early, busy, _empty) =
        (f.session().await, f.session().await, f.session().await, f.session().await);
    let running = f.begin(busy.id).await.turn_id;
    let behind = f.prompt(busy.id);
    queued(&f, &behind).await;
    let (first, second) = (f.prompt(early.id), f.prompt(late.id));
    for prompt in [&second, &first, &f.prompt(early.id)] {
        queued(&f, prompt).await;
    }
    let next = |prompt: &NewTurn, session: &domain::Session| WaitingTurn {
        id: prompt.id,
        session_id: session.id,
        user_id: session.user_id,
        mode: session.mode,
        generation: session.generation,
        since: prompt.at,
    };
    let both = [next(&first, &early), next(&second, &late)];
    assert_eq!(f.store.waiting(f.home).await.unwrap(), both, "one runs a turn, one has none");

    let front = f.prompt(early.id);
    placed(&f, &front, FIRST).await;
    f.store.end(running, Generation::FIRST, &f.well()).await.unwrap();
    let all = [next(&behind, &busy), next(&second, &late), next(&front, &early)];
    assert_eq!(f.store.waiting(f.home).await.unwrap(), all);
    f.store.pause(early.id, f.tick(), &Origin::system()).await.unwrap();
    f.store.cancel_queued(late.id, None, f.tick()).await.unwrap();
    assert_eq!(waiting_sessions(&f, f.home).await, [busy.id]);
    f.store.resume(early.id, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(waiting_sessions(&f, f.home).await, [busy.id, early.id]);
}

pub async fn work_is_not_over_while_prompts_wait<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for over in [SessionStatus::Completed, SessionStatus::Failed] {
        let id = f.session().await.id;
        let running = f.begin(id).await.turn_id;
        queued(&f, &f.prompt(id)).await;
        let end = TurnEnd { session_status: over, ..f.well() };
        f.store.end(running, Generation::FIRST, &end).await.unwrap();
        let between = f.reload(id).await;
        assert_eq!((between.status, between.completed_at), (SessionStatus::Active, None));
        let begun = f.store.begin_queued(id, SessionStatus::Processing, f.tick(), f.home).await.unwrap();
        let Some(Begin::Begun(begun)) = begun else { panic!("{begun:?}") };
        f.store.end(begun.turn_id, Generation::FIRST, &end).await.unwrap();
        assert_eq!(f.reload(id).await.status, over);
    }
}

pub async fn a_session_is_taken_up_only_from_where_it_rests<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let origin = Origin::system();
    let (idle, busy) = (f.session().await.id, f.session().await.id);
    f.begin(busy).await;
    for (id, status) in [(idle, SessionStatus::Created), (busy, SessionStatus::Processing)] {
        assert_eq!(f.store.resume(id, f.tick(), &origin).await.unwrap(), Moved::Refused(status));
    }
    f.store.pause(idle, f.tick(), &origin).await.unwrap();
    let resumed = f.store.resume(idle, f.tick(), &origin).await.unwrap();
    assert!(matches!(resumed, Moved::Moved(..)), "{resumed:?}");
}
