//! The ledger.

use super::{AnyStore, Fixture, fixture::data};
use domain::{
    Generation, MicroUsd, PageRequest, RequestUsage, RequestUsageId, SessionId, TokenUsage, TurnId,
};
use futures::future::join_all;
use serde_json::json;

pub async fn a_request_is_booked_once_on_its_turn_and_session<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let first = usage(&f, session, Some(turn));
    for _ in 0..3 {
        f.store.settle(&first).await.unwrap();
    }
    let page = f.store.requests(session, &PageRequest::first(10)).await.unwrap();
    assert_eq!(page.items, std::slice::from_ref(&first));
    let booked = f.turn(session, turn).await;
    assert_eq!((booked.tokens, booked.cost), (first.tokens, first.cost));

    f.store.settle(&usage(&f, session, None)).await.unwrap();
    let counters = f.reload(session).await.counters;
    assert_eq!((counters.tokens, counters.cost), (first.tokens + first.tokens, MicroUsd(24)));
    assert_eq!(f.turn(session, turn).await.cost, first.cost);

    let events = f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap().unwrap().events;
    let result = data(&events[1]);
    let expected = json!({
        "duration_ms": 3000, "cost_usd": 0.000_012,
        "input_tokens": 1, "output_tokens": 2, "cache_creation_tokens": 7, "cache_read_tokens": 5,
    });
    assert_eq!(result["metrics"], expected);

    // A request may be booked after its turn ended: it is still that turn's.
    f.store.settle(&usage(&f, session, Some(turn))).await.unwrap();
    assert_eq!(f.turn(session, turn).await.cost, MicroUsd(24));
}

pub async fn concurrent_bookings_add_up<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let bookings: Vec<_> = (0..25).map(|_| usage(&f, session, Some(turn))).collect();
    let twice = bookings.iter().chain(&bookings).map(|usage| f.store.settle(usage));
    for booked in join_all(twice).await {
        booked.unwrap();
    }
    assert_eq!(f.reload(session).await.counters.cost, MicroUsd(25 * 12));
    let turn = f.turn(session, turn).await;
    assert_eq!((turn.cost, turn.tokens.cache_read), (MicroUsd(25 * 12), 25 * 5));
}

pub async fn requests_are_listed_newest_first<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (f.session().await.id, f.session().await.id);
    f.store.settle(&usage(&f, other, None)).await.unwrap();
    let mut booked = Vec::new();
    for _ in 0..5 {
        let usage = usage(&f, session, None);
        f.store.settle(&usage).await.unwrap();
        booked.insert(0, usage);
    }
    let mut listed = Vec::new();
    let mut page = PageRequest::first(2);
    loop {
        let found = f.store.requests(session, &page).await.unwrap();
        listed.extend(found.items);
        let Some(cursor) = found.next_cursor else { break };
        page.cursor = Some(cursor);
    }
    assert_eq!(listed, booked);
}

pub async fn the_store_answers_a_ping<S: AnyStore>(store: S) {
    store.ping().await.unwrap();
}

pub(super) fn usage<S: AnyStore>(f: &Fixture<S>, session: SessionId, turn: Option<TurnId>) -> RequestUsage {
    RequestUsage {
        id: RequestUsageId::new(),
        session_id: session,
        user_id: f.user.id,
        turn_id: turn,
        model: "claude-a".into(),
        tokens: TokenUsage { input: 1, output: 2, cache_write_5m: 3, cache_write_1h: 4, cache_read: 5 },
        thinking_tokens: 0,
        tools: vec![],
        cost: MicroUsd(12),
        price_version: "2026-11".into(),
        is_priced: true,
        is_complete: false,
        is_estimated: false,
        http_status: 200,
        stop_reason: Some("end_turn".into()),
        started_at: f.tick(),
        duration_ms: 4321,
    }
}
