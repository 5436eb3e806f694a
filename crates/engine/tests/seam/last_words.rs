//! What an agent said last goes on record with the end of its turn.

use crate::world::{World, kinds};
use domain::{EventKind, PageRequest, SessionId, TurnFailure, TurnStatus};
use engine::{SessionDraft, Sight};
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Duration};

async fn said(world: &World, session: SessionId) -> Vec<Value> {
    let page = world.manager.messages(&world.caller, session, &PageRequest::first(10)).await.unwrap();
    page.items.into_iter().map(|message| message.content).collect()
}

fn text(text: &str) -> Value {
    json!([{ "type": "text", "text": text }])
}

/// An agent that says something and then nothing for so long, before its result.
fn pausing(pause: Duration) -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(move |_, say| async move {
        say.text("first");
        say.text("second");
        tokio::time::sleep(pause).await;
    })
}

#[tokio::test(start_paused = true)]
async fn messages_that_the_result_follows_are_recorded_with_the_end() {
    let world = World::new(pausing(Duration::from_millis(3)));
    let session = world.session().await;
    // A record by itself would fail, and with it the turn.
    world.faults.records.store(1, Ordering::SeqCst);
    let turn = world.ask(session, "one").await;
    assert_eq!((turn.status, turn.answer.as_deref()), (TurnStatus::Completed, Some("second")));
    assert_eq!(world.faults.records.load(Ordering::SeqCst), 1);
    assert_eq!(said(&world, session).await, [json!("one"), text("first"), text("second")]);
    let events = world.journal(session).await;
    let its: Vec<_> = events.into_iter().filter(|event| event.turn_id == Some(turn.id)).collect();
    assert_eq!(kinds(&its[its.len() - 4..]), ["message", "message", "status_change", "result"]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_nothing_follows_soon_are_recorded_before() {
    let world = World::new(pausing(Duration::from_millis(50)));
    let session = world.session().await;
    let started = world.prompt(session, "one").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(said(&world, session).await, [json!("one"), text("first"), text("second")]);
    assert_eq!(world.end(started).await.status, TurnStatus::Completed);
    assert_eq!(said(&world, session).await.len(), 3, "each is there once");
}

#[tokio::test(start_paused = true)]
async fn a_message_is_recorded_before_the_tool_that_follows_it() {
    let world = World::new(ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.text("let me look");
        say.tool_use("Read", &json!({}));
        say.hang().await;
    }));
    let session = world.session().await;
    world.prompt(session, "one").await.unwrap();
    // Less than a message waits for: it is the tool that has it recorded.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let events = world.journal(session).await;
    let last = events.len().saturating_sub(3);
    assert_eq!(kinds(&events[last..]), ["message", "message", "tool_call_started"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_seen_before_the_parts_of_the_next_one() {
    let world = World::new(ScriptedLauncher::new().on_prompt(|_, say| async move {
        // Time for the watcher to catch up.
        tokio::time::sleep(Duration::from_secs(1)).await;
        say.delta("first");
        say.text("first");
        say.delta("second");
        say.text("second");
    }));
    let session = world.session().await;
    let mut watch = world.manager.watch(&world.caller, session, 0).await.unwrap();
    world.prompt(session, "one").await.unwrap();
    let mut seen = vec![];
    while seen.last() != Some(&"result") {
        match watch.next().await.unwrap() {
            Some(Sight::Event(event)) => seen.push(event.kind.as_str()),
            Some(Sight::Delta(_)) => seen.push("delta"),
            None => unreachable!("the watcher was too slow"),
        }
    }
    let of_interest = |kind: &&str| ["message", "delta", "result"].contains(kind);
    let seen: Vec<_> = seen.into_iter().filter(of_interest).collect();
    assert_eq!(seen, ["message", "delta", "message", "delta", "message", "result"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_said_before_it_died_is_recorded_before_the_next_one() {
    let world = World::new(ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.text("almost");
        say.exit(3, "out of memory").await;
    }));
    let draft = SessionDraft { max_retries: Some(1), ..Default::default() };
    let session = world.session_of(draft).await;
    let turn = world.ask(session, "one").await;
    assert_eq!((turn.status, turn.retries), (TurnStatus::Failed, 1));
    assert_eq!(said(&world, session).await, [json!("one"), text("almost"), text("almost")]);
    let events = world.journal(session).await;
    let of_interest = [EventKind::Message, EventKind::Notice, EventKind::Result];
    let its: Vec<_> = events.into_iter().filter(|event| of_interest.contains(&event.kind)).collect();
    assert_eq!(kinds(&its), ["message", "message", "notice", "message", "result"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_stored_does_not_keep_the_turn_open() {
    let world = World::new(pausing(Duration::ZERO));
    let session = world.session().await;
    world.faults.refuses_messages.store(true, Ordering::SeqCst);
    let turn = world.ask(session, "one").await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Failed, Some(TurnFailure::NotRecorded)));
    assert_eq!(said(&world, session).await, [json!("one")]);
    assert!(!world.launcher.last_agent().is_alive(), "it knows more than is on record");
}
