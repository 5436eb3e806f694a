//! Turns: one at a time, each ended once.

use super::{
    AnyStore, Fixture,
    fixture::{data, kinds, message},
    queue::queued,
};
use domain::{
    Entry, EventBody, Generation, MessageType, Origin, PageRequest, SessionId, SessionStatus, ToolCallId,
    ToolCallStatus, Turn, TurnEnd, TurnFailure, TurnId, TurnStatus,
    ports::{StoreError, Turns},
    session::AgentConversation,
    turn::{Begin, EndedTurn},
};
use futures::future::join_all;
use serde_json::json;

pub async fn a_turn_begins_with_its_prompt_on_record<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let mut prompt = f.prompt(session.id);
    prompt.prompt = json!([{ "type": "text", "text": "look" }]);
    let Begin::Begun(begun) = f.store.begin(&prompt, SessionStatus::Connecting, f.home).await.unwrap() else {
        panic!("the turn did not begin");
    };
    assert_eq!((begun.turn_id, &begun.prompt), (prompt.id, &prompt.prompt));
    assert_eq!(begun.session, f.reload(session.id).await);
    assert_eq!(begun.session.status, SessionStatus::Connecting);
    assert_eq!(begun.session.current_turn_id, Some(prompt.id));
    assert_eq!(begun.session.started_at, Some(prompt.at));
    assert_eq!(begun.session.counters.messages, 1);

    assert_eq!(kinds(&begun.events), ["status_change", "message", "message_sent"]);
    assert_eq!(begun.events, f.journal(session.id).await);
    assert_eq!(data(&begun.events[0]), &json!({ "from": "created", "to": "connecting" }));
    let EventBody::Message(message) = &begun.events[1].body else { panic!("{:?}", begun.events[1]) };
    assert_eq!((message.message_type, message.sequence_number), (MessageType::User, 1));
    assert_eq!((&message.content, message.turn_id), (&prompt.prompt, Some(prompt.id)));
    assert_eq!(data(&begun.events[2]), &json!({ "message_id": message.id }));

    let turn = f.turn(session.id, prompt.id).await;
    assert_eq!((turn.status, turn.prompt_message_id), (TurnStatus::Running, Some(message.id)));
    assert_eq!((turn.created_at, turn.started_at), (prompt.at, Some(prompt.at)));
    assert_eq!(f.store.running(f.home).await.unwrap(), [turn]);

    f.store.end(prompt.id, Generation::FIRST, &f.well()).await.unwrap();
    let second = f.begin(session.id).await;
    assert_eq!(second.session.started_at, Some(prompt.at), "only the first turn starts a session");
}

pub async fn of_many_beginnings_at_once_exactly_one_wins<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for _ in 0..10 {
        let session = f.session().await;
        let prompts: Vec<_> = (0..8).map(|_| f.prompt(session.id)).collect();
        let all = prompts.iter().map(|prompt| f.store.begin(prompt, SessionStatus::Processing, f.home));
        let outcomes: Vec<Begin> = join_all(all).await.into_iter().map(Result::unwrap).collect();
        let refused = Begin::Refused(SessionStatus::Processing);
        let begun: Vec<_> = outcomes.iter().filter(|outcome| **outcome != refused).collect();
        assert!(matches!(begun.as_slice(), [Begin::Begun(_)]), "{begun:?}");
        assert_eq!(f.journal(session.id).await.len(), 3);
        assert_eq!(f.reload(session.id).await.counters.messages, 1);
        let turns = Turns::list(&f.store, session.id, &PageRequest::first(10)).await.unwrap();
        assert_eq!(turns.items.len(), 1);
    }
}

pub async fn a_turn_does_not_begin_in_a_session_that_is_not_ready<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for status in [SessionStatus::Paused, SessionStatus::Terminated, SessionStatus::Archived] {
        let session = f.session().await;
        f.store.move_to(session.id, Generation::FIRST, status, f.tick()).await.unwrap();
        let answer = f.store.begin(&f.prompt(session.id), SessionStatus::Processing, f.home).await.unwrap();
        assert_eq!(answer, Begin::Refused(status));
        assert_eq!(f.journal(session.id).await.len(), 1);
    }
    let nowhere = f.prompt(SessionId::new());
    assert_eq!(f.store.begin(&nowhere, SessionStatus::Processing, f.home).await.unwrap(), Begin::NoSession);

    // Paused and resumed while its turn runs on: the state says ready, the turn says no.
    let session = f.session().await;
    f.begin(session.id).await;
    for status in [SessionStatus::Paused, SessionStatus::Active] {
        f.store.move_to(session.id, Generation::FIRST, status, f.tick()).await.unwrap();
    }
    let answer = f.store.begin(&f.prompt(session.id), SessionStatus::Processing, f.home).await.unwrap();
    assert_eq!(answer, Begin::Refused(SessionStatus::Active));
}

pub async fn a_turn_ends_exactly_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let begun = f.begin(session.id).await;
    let agent = AgentConversation { id: SessionId::new().0, last_entry: Some(SessionId::new().0) };
    let end = TurnEnd { agent: Some(agent), ..f.well() };
    let ends = join_all((0..4).map(|_| f.store.end(begun.turn_id, Generation::FIRST, &end))).await;
    let ends: Vec<_> = ends.into_iter().filter_map(Result::unwrap).collect();
    let [EndedTurn { turn: told, events }] = ends.as_slice() else { panic!("ended {} times", ends.len()) };
    assert_eq!(kinds(events), ["status_change", "result"]);
    assert_eq!(events[..], f.journal(session.id).await[3..]);
    let result = json!({
        "status": "completed", "answer_message_id": null, "text": "done",
        "error_code": null, "error_message": null, "rounds": 2, "retries": 0,
        "metrics": {
            "duration_ms": 1000, "cost_usd": 0.0,
            "input_tokens": 0, "output_tokens": 0, "cache_creation_tokens": 0, "cache_read_tokens": 0,
        },
    });
    assert_eq!(data(&events[1]), &result);

    let turn = f.turn(session.id, begun.turn_id).await;
    assert_eq!(&turn, told);
    assert_eq!((turn.status, turn.answer.as_deref(), turn.rounds), (TurnStatus::Completed, Some("done"), 2));
    assert_eq!(turn.completed_at, Some(end.at));
    let ended = f.reload(session.id).await;
    assert_eq!((ended.status, ended.current_turn_id), (SessionStatus::Active, None));
    assert_eq!((ended.agent, ended.updated_at), (Some(agent), end.at));
    assert_eq!(f.store.running(f.home).await.unwrap(), []);

    let second = f.begin(session.id).await;
    let completed = TurnEnd { session_status: SessionStatus::Completed, ..f.well() };
    f.store.end(second.turn_id, Generation::FIRST, &completed).await.unwrap();
    let over = f.reload(session.id).await;
    assert_eq!((over.status, over.completed_at), (SessionStatus::Completed, Some(completed.at)));
    assert_eq!(over.agent, Some(agent), "an end without a conversation leaves the stored one");
    assert_eq!(f.store.end(TurnId::new(), Generation::FIRST, &f.well()).await.unwrap(), None);
}

pub async fn the_end_of_a_turn_interrupts_its_open_tool_calls<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let begun = f.begin(session.id).await;
    let start = |name: &str| Entry::ToolCallStarted {
        id: ToolCallId::new(),
        tool_use_id: name.into(),
        tool_name: "Bash".into(),
        tool_input: json!({ "command": "sleep 60" }),
    };
    let entries = vec![start("toolu_1"), start("toolu_2")];
    f.store.record(session.id, Generation::FIRST, Some(begun.turn_id), entries, f.tick()).await.unwrap();
    f.store.record(session.id, Generation::FIRST, None, vec![start("toolu_3")], f.tick()).await.unwrap();
    let end =
        TurnEnd { status: TurnStatus::Interrupted, failure: Some(TurnFailure::Interrupted), ..f.well() };
    f.store.end(begun.turn_id, Generation::FIRST, &end).await.unwrap();
    let calls = f.store.turn_tool_calls(begun.turn_id, 10).await.unwrap();
    let calls: Vec<_> =
        calls.iter().map(|call| (&*call.tool_use_id, call.status, call.completed_at)).collect();
    let interrupted = ToolCallStatus::Interrupted;
    assert_eq!(calls, [("toolu_1", interrupted, Some(end.at)), ("toolu_2", interrupted, Some(end.at))]);
    let all = f.store.tool_calls(session.id, &PageRequest::first(10)).await.unwrap();
    assert_eq!(all.items[2].status, ToolCallStatus::Running, "a call of no turn is nobody's to end");
}

pub async fn what_was_said_last_is_recorded_with_the_end_of_a_turn<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await.id;
    let begun = f.begin(session).await;
    let last_messages = vec![message(json!("almost")), message(json!("done"))];
    let answer_message_id = Some(last_messages[1].id);
    let end = TurnEnd { last_messages: last_messages.clone(), answer_message_id, ..f.well() };
    let late = f.store.end(begun.turn_id, Generation::FIRST.next(), &end).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(f.journal(session).await.len(), 3);

    let ended = f.store.end(begun.turn_id, Generation::FIRST, &end).await.unwrap().unwrap();
    assert_eq!(kinds(&ended.events), ["message", "message", "status_change", "result"]);
    assert_eq!(ended.events[..], f.journal(session).await[3..]);
    let messages = f.store.messages(session, &PageRequest::first(10)).await.unwrap().items;
    let found: Vec<_> = messages.iter().map(|message| (message.sequence_number, message.turn_id)).collect();
    assert_eq!(found, [1, 2, 3].map(|number| (number, Some(begun.turn_id))));
    let ids = [messages[1].id, messages[2].id];
    assert_eq!((ids, messages[2].created_at), ([last_messages[0].id, last_messages[1].id], end.at));
    assert_eq!(ended.turn.answer_message_id, Some(messages[2].id));
    assert_eq!(f.reload(session).await.counters.messages, 3);
}

pub async fn the_end_of_a_turn_leaves_a_paused_or_terminated_session_alone<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    for status in [SessionStatus::Paused, SessionStatus::Terminated] {
        let session = f.session().await;
        let begun = f.begin(session.id).await;
        f.store.move_to(session.id, Generation::FIRST, status, f.tick()).await.unwrap();
        let events = f.store.end(begun.turn_id, Generation::FIRST, &f.well()).await.unwrap().unwrap().events;
        assert_eq!(kinds(&events), ["result"]);
        let after = f.reload(session.id).await;
        assert_eq!((after.status, after.current_turn_id), (status, None));
    }
}

pub async fn a_session_that_ran_out_of_money_goes_on_with_a_turn_of_its_own<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let begun = f.begin(session.id).await;
    let waiting = f.prompt(session.id);
    queued(&f, &waiting).await;
    let out_of_money = TurnEnd {
        status: TurnStatus::BudgetExhausted,
        failure: Some(TurnFailure::BudgetExhausted),
        session_status: SessionStatus::Paused,
        ..f.well()
    };
    f.store.end(begun.turn_id, Generation::FIRST, &out_of_money).await.unwrap().unwrap();
    let paused = f.reload(session.id).await;
    assert_eq!((paused.status, paused.counters.errors), (SessionStatus::Paused, 0));
    assert_eq!(paused.budget_paused_at, Some(out_of_money.at));
    assert_eq!(f.store.paused_by_budget(f.home, 9).await.unwrap(), [(session.id, session.user_id)]);
    assert_eq!(f.store.queue(session.id).await.unwrap(), [waiting.id], "what waits stays");

    let go_on = f.prompt(session.id);
    let events = f.store.go_on_with_money(&go_on).await.unwrap();
    assert_eq!(kinds(&events), ["status_change", "notice"]);
    assert_eq!(events[1].turn_id, Some(go_on.id));
    let active = f.reload(session.id).await;
    assert_eq!((active.status, active.budget_paused_at), (SessionStatus::Active, None));
    assert_eq!(f.store.queue(session.id).await.unwrap(), [go_on.id, waiting.id]);
    assert_eq!(f.store.paused_by_budget(f.home, 9).await.unwrap(), []);
    assert_eq!(f.store.go_on_with_money(&f.prompt(session.id)).await.unwrap(), [], "it does so once");
}

pub async fn a_session_that_a_person_paused_or_resumed_is_not_the_budgets<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    f.begin(session.id).await;
    f.store.pause(session.id, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(f.store.paused_by_budget(f.home, 9).await.unwrap(), []);
    assert_eq!(f.store.go_on_with_money(&f.prompt(session.id)).await.unwrap(), []);

    let other = f.session().await;
    let begun = f.begin(other.id).await;
    let out_of_money = TurnEnd { session_status: SessionStatus::Paused, ..f.well() };
    f.store.end(begun.turn_id, Generation::FIRST, &out_of_money).await.unwrap().unwrap();
    f.store.resume(other.id, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(f.reload(other.id).await.budget_paused_at, None);
    assert_eq!(f.store.go_on_with_money(&f.prompt(other.id)).await.unwrap(), []);
}

pub async fn a_failed_turn_counts_as_an_error_and_an_interrupted_one_does_not<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let failed = TurnEnd {
        status: TurnStatus::Failed,
        failure: Some(TurnFailure::AgentFailed),
        error_message: Some("it died".into()),
        retries: 2,
        ..f.well()
    };
    let stopped = TurnEnd {
        status: TurnStatus::Interrupted,
        failure: Some(TurnFailure::Interrupted),
        error_message: Some("stopped".into()),
        ..f.well()
    };
    for (end, errors, message) in
        [(failed, 1, Some("it died")), (stopped, 1, Some("it died")), (f.well(), 1, None)]
    {
        let begun = f.begin(session.id).await;
        f.store.end(begun.turn_id, Generation::FIRST, &end).await.unwrap();
        let after = f.reload(session.id).await;
        assert_eq!((after.counters.errors, after.error_message.as_deref()), (errors, message), "{end:?}");
        let turn = f.turn(session.id, begun.turn_id).await;
        assert_eq!((turn.failure, turn.retries), (end.failure, end.retries));
        assert_eq!(turn.error_message, end.error_message);
    }
}

pub async fn turns_are_listed_newest_first_and_within_their_session<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (f.session().await, f.session().await);
    let elsewhere = f.begin(other.id).await.turn_id;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let turn = f.begin(session.id).await.turn_id;
        f.store.end(turn, Generation::FIRST, &f.well()).await.unwrap();
        ids.insert(0, turn);
    }
    let mut found: Vec<Turn> = Vec::new();
    let mut page = PageRequest::first(2);
    loop {
        let turns = Turns::list(&f.store, session.id, &page).await.unwrap();
        found.extend(turns.items);
        let Some(cursor) = turns.next_cursor else { break };
        page.cursor = Some(cursor);
    }
    assert_eq!(found.iter().map(|turn| turn.id).collect::<Vec<_>>(), ids);
    assert_eq!(Turns::get(&f.store, session.id, elsewhere).await.unwrap(), None);
}
