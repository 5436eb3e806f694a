//! Turns that wait for the one before them.

use super::{
    AnyStore, Fixture,
    fixture::{data, kinds},
};
use domain::{
    Generation, SessionId, SessionStatus, TurnFailure, TurnStatus,
    ports::{StoreError, Turns},
    turn::Begin,
};
use serde_json::json;

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
        let notice = f.store.enqueue(&prompt, 5).await.unwrap().unwrap();
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
    assert_eq!(f.store.enqueue(&f.prompt(session.id), 0).await.unwrap(), None);
    for _ in 0..2 {
        assert!(f.store.enqueue(&f.prompt(session.id), 2).await.unwrap().is_some());
    }
    let refused = f.prompt(session.id);
    assert_eq!(f.store.enqueue(&refused, 2).await.unwrap(), None);
    assert_eq!(Turns::get(&f.store, session.id, refused.id).await.unwrap(), None);
    assert_eq!(f.journal(session.id).await.len(), 5);
    f.store.end(running, Generation::FIRST, &f.well()).await.unwrap();
    f.store.begin_queued(session.id, SessionStatus::Processing, f.tick(), f.home).await.unwrap();
    assert!(f.store.enqueue(&refused, 2).await.unwrap().is_some(), "a place became free");
    let nowhere = f.store.enqueue(&f.prompt(SessionId::new()), 2).await;
    assert!(matches!(nowhere, Err(StoreError::Inconsistent { .. })), "{nowhere:?}");
}

pub async fn cancelled_turns_end_as_interrupted<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let running = f.begin(session.id).await.turn_id;
    let waiting = [f.prompt(session.id), f.prompt(session.id)];
    for prompt in &waiting {
        f.store.enqueue(prompt, 5).await.unwrap();
    }
    let at = f.tick();
    let events = f.store.cancel_queued(session.id, at).await.unwrap();
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
    assert_eq!(f.store.cancel_queued(session.id, f.tick()).await.unwrap(), []);
    assert_eq!(f.store.cancel_queued(SessionId::new(), f.tick()).await.unwrap(), []);
    assert_eq!(f.reload(session.id).await.counters.errors, 0);
}

pub async fn sessions_with_a_queue_are_found_once_they_are_idle<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (queued, _empty) = (f.session().await, f.session().await);
    let running = f.begin(queued.id).await.turn_id;
    for _ in 0..2 {
        f.store.enqueue(&f.prompt(queued.id), 5).await.unwrap();
    }
    assert_eq!(f.store.sessions_with_queue(f.home).await.unwrap(), []);
    f.store.end(running, Generation::FIRST, &f.well()).await.unwrap();
    assert_eq!(f.store.sessions_with_queue(f.home).await.unwrap(), [queued.id]);
    f.store.cancel_queued(queued.id, f.tick()).await.unwrap();
    assert_eq!(f.store.sessions_with_queue(f.home).await.unwrap(), []);
}
