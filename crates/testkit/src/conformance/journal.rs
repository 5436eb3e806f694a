//! The journal and the history behind it.

use super::{
    AnyStore, Fixture,
    fixture::{data, kinds, message},
};
use domain::{
    Entry, Event, EventBody, Generation, PageRequest, SessionId, ToolCall, ToolCallId, ToolCallStatus,
    history::ToolOutcome, ports::StoreError,
};
use futures::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};

pub async fn the_journal_has_no_gaps_under_concurrent_writers<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (f.session().await.id, f.session().await.id);
    let at = f.tick();
    let entries = |n: usize| {
        let both = [Entry::Notice(json!({ "n": n })), Entry::Message(Box::new(message(json!(n))))];
        both.into_iter().cycle().take(n % 4).collect::<Vec<_>>()
    };
    let writes = (0..40).map(|n| {
        f.store.record(if n % 5 == 0 { other } else { session }, Generation::FIRST, None, entries(n), at)
    });
    let mut written: Vec<Event> = Vec::new();
    for (n, events) in join_all(writes).await.into_iter().enumerate() {
        let events = events.unwrap();
        assert_eq!(events.len(), n % 4);
        let first = events.first().map_or(0, |event| event.seq);
        let expected: Vec<u64> = (first..).take(events.len()).collect();
        assert_eq!(
            events.iter().map(|event| event.seq).collect::<Vec<_>>(),
            expected,
            "one record was split"
        );
        written.extend(events);
    }
    for id in [session, other] {
        let mut expected: Vec<_> = written.iter().filter(|event| event.session_id == id).cloned().collect();
        expected.sort_by_key(|event| event.seq);
        assert_eq!(f.journal(id).await, expected);
        let messages = f.store.messages(id, &PageRequest::first(100)).await.unwrap();
        let numbers: Vec<u64> = messages.items.iter().map(|message| message.sequence_number).collect();
        assert_eq!(numbers, (1..=f.reload(id).await.counters.messages).collect::<Vec<_>>());
    }
}

pub async fn a_message_is_numbered_and_comes_back_from_the_journal<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let mut said = message(json!([{ "type": "text", "text": "a\u{0}b\nc\u{2028}\u{1F980}" }, { "n": 1.5 }]));
    said.parent_tool_use_id = Some("toolu_7".into());
    let at = f.tick() + SignedDuration::from_micros(1);
    let events = f
        .store
        .record(session, Generation::FIRST, Some(turn), vec![Entry::Message(Box::new(said.clone()))], at)
        .await
        .unwrap();
    let EventBody::Message(recorded) = &events[0].body else { panic!("{events:?}") };
    assert_eq!((recorded.id, recorded.sequence_number), (said.id, 2));
    assert_eq!((&recorded.content, &recorded.model), (&said.content, &said.model));
    assert_eq!(
        (&recorded.thinking, &recorded.parent_tool_use_id),
        (&said.thinking, &said.parent_tool_use_id)
    );
    assert_eq!((recorded.turn_id, recorded.created_at), (Some(turn), at));

    assert_eq!(f.store.read_after(session, 3, 10).await.unwrap(), events);
    let messages = f.store.messages(session, &PageRequest::first(10)).await.unwrap();
    assert_eq!(messages.items[1], **recorded);
    let two = f.store.read_after(session, 1, 2).await.unwrap();
    assert_eq!(kinds(&two), ["message", "message_sent"]);
    assert_eq!(f.store.read_after(session, 4, 10).await.unwrap(), []);
    assert_eq!(f.store.read_after(session, u64::MAX, 10).await.unwrap(), []);
    assert_eq!(f.store.read_after(SessionId::new(), 0, 10).await.unwrap(), []);
}

pub async fn a_tool_call_is_completed_once_by_its_id<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let turn = f.begin(session).await.turn_id;
    let (id, started) = (ToolCallId::new(), f.tick());
    let events = f
        .store
        .record(session, Generation::FIRST, Some(turn), vec![start(id, "toolu_1")], started)
        .await
        .unwrap();
    let input = json!({ "command": "ls" });
    let expected =
        json!({ "tool_call_id": id, "tool_use_id": "toolu_1", "tool_name": "Bash", "tool_input": input });
    assert_eq!((kinds(&events), data(&events[0])), (vec!["tool_call_started"], &expected));

    let mut outcome = completion("toolu_1", json!(null));
    outcome.status = ToolCallStatus::Denied;
    outcome.permission_decision = Some("deny".into());
    outcome.permission_reason = Some("not here".into());
    let complete = || vec![Entry::ToolCallCompleted(Box::new(outcome.clone()))];
    let completed = started + SignedDuration::from_millis(1500);
    let events = f.store.record(session, Generation::FIRST, Some(turn), complete(), completed).await.unwrap();
    let expected = json!({
        "tool_call_id": id, "tool_use_id": "toolu_1", "tool_name": "Bash", "status": "denied", "duration_ms": 1500,
    });
    assert_eq!((kinds(&events), data(&events[0])), (vec!["tool_call_completed"], &expected));
    let call = ToolCall {
        id,
        session_id: session,
        turn_id: Some(turn),
        tool_use_id: "toolu_1".into(),
        tool_name: "Bash".into(),
        tool_input: input,
        tool_output: Some(Value::Null),
        status: ToolCallStatus::Denied,
        permission_decision: Some("deny".into()),
        permission_reason: Some("not here".into()),
        created_at: started,
        completed_at: Some(completed),
    };
    assert_eq!(f.store.turn_tool_calls(turn, 10).await.unwrap().as_slice(), std::slice::from_ref(&call));

    // Neither a second result nor one that nobody asked for leaves a trace.
    let unknown = Entry::ToolCallCompleted(Box::new(completion("toolu_9", json!("?"))));
    for ignored in [complete(), vec![unknown]] {
        assert_eq!(
            f.store.record(session, Generation::FIRST, Some(turn), ignored, f.tick()).await.unwrap(),
            []
        );
    }
    let calls = f.store.tool_calls(session, &PageRequest::first(10)).await.unwrap();
    assert_eq!(calls.items, [call]);
    assert_eq!(f.reload(session).await.counters.tool_calls, 1);
}

pub async fn a_tool_call_may_start_and_complete_in_one_record<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    // The same id twice, as a retried turn gives it: the result belongs to the younger call.
    let (left_open, retried) = (ToolCallId::new(), ToolCallId::new());
    f.store
        .record(session, Generation::FIRST, None, vec![start(left_open, "toolu_1")], f.tick())
        .await
        .unwrap();
    let done = Entry::ToolCallCompleted(Box::new(completion("toolu_1", json!("out"))));
    let entries = vec![start(retried, "toolu_1"), done, Entry::Message(Box::new(message(json!("out"))))];
    let events = f.store.record(session, Generation::FIRST, None, entries, f.tick()).await.unwrap();
    assert_eq!(kinds(&events), ["tool_call_started", "tool_call_completed", "message"]);
    assert_eq!(data(&events[1])["tool_call_id"], json!(retried));
    let calls = f.store.tool_calls(session, &PageRequest::first(10)).await.unwrap();
    let calls: Vec<_> = calls.items.iter().map(|call| (call.id, call.status)).collect();
    assert_eq!(calls, [(left_open, ToolCallStatus::Running), (retried, ToolCallStatus::Completed)]);
    f.journal(session).await;
}

pub async fn errors_and_retries_are_counted<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let at = f.tick();
    let entries = vec![
        Entry::Error(json!({ "code": "A" })),
        Entry::Retry(json!({ "code": "B" })),
        Entry::Retry(json!({ "code": "C" })),
        Entry::Notice(json!({ "code": "D" })),
    ];
    let events = f.store.record(session, Generation::FIRST, None, entries, at).await.unwrap();
    assert_eq!(kinds(&events), ["error", "notice", "notice", "notice"]);
    assert_eq!(data(&events[2]), &json!({ "code": "C" }));
    let after = f.reload(session).await;
    assert_eq!((after.counters.errors, after.counters.retries, after.updated_at), (1, 2, at));
}

pub async fn nothing_is_recorded_for_a_session_that_is_not_there<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let nowhere = SessionId::new();
    let answer =
        f.store.record(nowhere, Generation::FIRST, None, vec![Entry::Notice(json!({}))], f.tick()).await;
    assert!(matches!(answer, Err(StoreError::Inconsistent { .. })), "{answer:?}");
    assert_eq!(f.journal(nowhere).await, []);
}

pub async fn a_long_record_is_kept_whole<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let entries: Vec<_> = (0..2500).map(|n| Entry::Message(Box::new(message(json!(n))))).collect();
    let events = f.store.record(session, Generation::FIRST, None, entries, f.tick()).await.unwrap();
    assert_eq!(events.len(), 2500);
    assert_eq!(f.journal(session).await, events);
}

pub async fn a_message_of_twenty_megabytes_passes<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let said = message(json!("x".repeat(20 * 1024 * 1024)));
    f.store
        .record(session, Generation::FIRST, None, vec![Entry::Message(Box::new(said.clone()))], f.tick())
        .await
        .unwrap();
    let events = f.store.read_after(session, 0, 1).await.unwrap();
    let EventBody::Message(back) = &events[0].body else { panic!("not a message") };
    assert!(back.content == said.content, "the content came back changed");
}

pub async fn history_pages_follow_each_other<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let at = f.tick();
    let record = |n: u32| {
        let entries =
            vec![Entry::Message(Box::new(message(json!(n)))), start(ToolCallId::new(), &n.to_string())];
        f.store.record(session, Generation::FIRST, None, entries, at)
    };
    for n in 0..5 {
        record(n).await.unwrap();
    }
    let (mut said, mut called) = (Vec::new(), Vec::new());
    let (mut messages, mut calls) = (Some(PageRequest::first(2)), Some(PageRequest::first(2)));
    let mut next = 5;
    while let (Some(m), Some(c)) = (&messages, &calls) {
        let (m, c) =
            (f.store.messages(session, m).await.unwrap(), f.store.tool_calls(session, c).await.unwrap());
        said.extend(m.items.iter().map(|message| message.content.clone()));
        called.extend(c.items.iter().map(|call| call.tool_use_id.clone()));
        let after = |cursor| PageRequest { cursor: Some(cursor), ..PageRequest::first(2) };
        (messages, calls) = (m.next_cursor.map(after), c.next_cursor.map(after));
        if next < 8 {
            record(next).await.unwrap();
            next += 1;
        }
    }
    assert_eq!((&messages, &calls), (&None, &None));
    assert_eq!(said, (0..8).map(|n| json!(n)).collect::<Vec<_>>());
    assert_eq!(called, (0..8).map(|n| n.to_string()).collect::<Vec<_>>());
}

fn start(id: ToolCallId, tool_use_id: &str) -> Entry {
    let tool_input = json!({ "command": "ls" });
    Entry::ToolCallStarted { id, tool_use_id: tool_use_id.into(), tool_name: "Bash".into(), tool_input }
}

fn completion(tool_use_id: &str, tool_output: Value) -> ToolOutcome {
    ToolOutcome {
        tool_use_id: tool_use_id.into(),
        tool_output,
        status: ToolCallStatus::Completed,
        permission_decision: None,
        permission_reason: None,
    }
}
