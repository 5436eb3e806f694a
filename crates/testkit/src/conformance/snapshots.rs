//! Snapshots of sessions' figures.

use super::{AnyStore, Fixture, fixture::session, ledger::usage};
use domain::{
    Entry, Generation, MetricsSnapshot, Origin, PageRequest, Session, SessionId, SessionMode, SessionStatus,
    ToolCallId, ToolCallStatus, history::ToolOutcome,
};
use serde_json::json;

pub async fn a_snapshot_is_what_the_session_has_come_to<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let id = f.session().await.id;
    let measure = async |at| f.store.measure(&[id, SessionId::new()], at).await.unwrap();
    let before = measure(f.tick()).await;
    assert_eq!(before.len(), 1, "one is not there");
    assert_eq!((before[0].duration_ms, before[0].avg_tool_duration_ms), (None, None));

    let turn = f.begin(id).await.turn_id;
    f.store.settle(&usage(&f, id, Some(turn))).await.unwrap();
    // One was denied, which says nothing of how long tools take.
    for (name, status, seconds) in [
        ("a", ToolCallStatus::Completed, 2),
        ("b", ToolCallStatus::Failed, 4),
        ("c", ToolCallStatus::Denied, 90),
    ] {
        let started = Entry::ToolCallStarted {
            id: ToolCallId::new(),
            tool_use_id: name.into(),
            tool_name: "Bash".into(),
            tool_input: json!({}),
        };
        let at = f.tick();
        f.store.record(id, Generation::FIRST, Some(turn), vec![started], at).await.unwrap();
        let outcome = ToolOutcome {
            tool_use_id: name.into(),
            tool_output: json!("done"),
            status,
            permission_decision: None,
            permission_reason: None,
        };
        let ended = Entry::ToolCallCompleted(Box::new(outcome));
        let at = at + jiff::SignedDuration::from_secs(seconds);
        f.store.record(id, Generation::FIRST, Some(turn), vec![ended], at).await.unwrap();
    }
    let at = f.tick();
    let now = measure(at).await.remove(0);
    let reloaded = f.reload(id).await;
    assert_eq!((now.session_id, now.snapshot_at, now.counters), (id, at, reloaded.counters));
    assert_eq!((now.counters.tool_calls, now.counters.cost.0), (3, 12));
    let since = at.duration_since(reloaded.started_at.unwrap());
    assert_eq!(now.duration_ms, Some(u64::try_from(since.as_millis()).unwrap()));
    assert_eq!(now.avg_tool_duration_ms, Some(3000.0));
    assert!(
        f.store.snapshots(id, &PageRequest::first(10)).await.unwrap().items.is_empty(),
        "nothing is kept"
    );
}

pub async fn snapshots_are_kept_newest_first_until_they_are_old<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (one, other) = (f.session().await, f.session().await);
    let mut kept = vec![];
    for round in 0..5 {
        let at = f.tick();
        let of = |session: &Session, mean| MetricsSnapshot {
            counters: domain::Counters { messages: round, ..session.counters },
            duration_ms: Some(round),
            ..session.snapshot(at, mean)
        };
        let gone = MetricsSnapshot { session_id: SessionId::new(), ..of(&one, None) };
        let both = [of(&one, Some(1.25)), gone, of(&other, None)];
        f.store.record_snapshots(&both).await.unwrap();
        kept.insert(0, both[0].clone());
    }
    f.store.record_snapshots(&[]).await.unwrap();
    let mut listed = vec![];
    let mut page = PageRequest::first(2);
    loop {
        let found = f.store.snapshots(one.id, &page).await.unwrap();
        listed.extend(found.items);
        let Some(cursor) = found.next_cursor else { break };
        page.cursor = Some(cursor);
    }
    assert_eq!(listed, kept);

    let before = kept[1].snapshot_at;
    assert_eq!(f.store.prune_snapshots(before, 4).await.unwrap(), 4);
    assert_eq!(f.store.prune_snapshots(before, 4).await.unwrap(), 2);
    assert_eq!(f.store.prune_snapshots(before, 4).await.unwrap(), 0);
    for (session, left) in [(one.id, 2), (other.id, 2)] {
        let found = f.store.snapshots(session, &PageRequest::first(10)).await.unwrap().items;
        assert_eq!(found.len(), left);
        assert!(found.iter().all(|snapshot| snapshot.snapshot_at >= before));
    }
}

pub async fn snapshots_go_with_their_session<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    f.store.record_snapshots(&[session.snapshot(f.tick(), None)]).await.unwrap();
    f.store.terminate(session.id, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    f.store.purge(session.id, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(f.store.snapshots(session.id, &PageRequest::first(10)).await.unwrap().items, []);
}

pub async fn sessions_are_counted_by_mode_and_state<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    assert_eq!(f.store.census().await.unwrap(), []);
    for (mode, status, count) in [
        (SessionMode::Interactive, SessionStatus::Active, 3),
        (SessionMode::Interactive, SessionStatus::Paused, 1),
        (SessionMode::Background, SessionStatus::Active, 2),
    ] {
        for _ in 0..count {
            let new = Session { mode, status, ..session(f.user.id, f.tick()) };
            f.store.create(&new, &Origin::system()).await.unwrap();
        }
    }
    let mut census = f.store.census().await.unwrap();
    census.sort_by_key(|(mode, status, _)| (mode.as_str(), status.as_str()));
    assert_eq!(
        census,
        [
            (SessionMode::Background, SessionStatus::Active, 2),
            (SessionMode::Interactive, SessionStatus::Active, 3),
            (SessionMode::Interactive, SessionStatus::Paused, 1),
        ]
    );
}
