//! From a prompt to its answer.

use crate::world::{World, all, kinds};
use domain::{EventBody, MessageType, SessionStatus, ToolCallStatus, TurnStatus};
use engine::Error;
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::json;

fn with_a_tool() -> ScriptedLauncher {
    ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        say.text("let me see");
        let call = say.tool_use("Bash", &json!({ "command": "ls" }));
        say.tool_result(&call, "a file");
        say.text(format!("answer to {}", prompt.text()));
    })
}

#[tokio::test(start_paused = true)]
async fn a_prompt_becomes_a_turn_with_its_messages_tool_calls_and_events_in_order() {
    let world = World::new(with_a_tool());
    let session = world.session().await;
    let started = world.prompt(session, "hello").await.unwrap();
    let turn = world.end(started).await;
    assert_eq!(turn.status, TurnStatus::Completed);
    assert_eq!((turn.answer.as_deref(), turn.rounds, turn.retries), (Some("answer to hello"), 1, 0));

    let messages = world.manager.messages(&world.caller, session, &all()).await.unwrap().items;
    let types: Vec<_> = messages.iter().map(|message| message.message_type).collect();
    use MessageType::{Assistant, User};
    assert_eq!(types, [User, Assistant, Assistant, User, Assistant]);
    assert_eq!(messages[0].content, "hello");
    assert_eq!(turn.prompt_message_id, Some(messages[0].id));
    assert_eq!(turn.answer_message_id, Some(messages[4].id));
    assert_eq!(messages[4].content[0]["text"], "answer to hello");
    assert_eq!(messages[4].model.as_deref(), Some("claude-scripted"));

    let calls = world.manager.turn_tool_calls(turn.id).await.unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].tool_name.as_str(), calls[0].status), ("Bash", ToolCallStatus::Completed));
    assert_eq!(calls[0].tool_output, Some(json!("a file")));

    let events = world.journal(session).await;
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(started.after_seq, 0);
    assert_eq!(
        kinds(&events),
        [
            "status_change",
            "message",
            "message_sent",
            "status_change",
            "message",
            "message",
            "tool_call_started",
            "message",
            "tool_call_completed",
            "message",
            "status_change",
            "result",
        ]
    );
    let EventBody::Data(result) = &events[11].body else { unreachable!("a result has data") };
    assert_eq!(result["text"], "answer to hello");
    assert_eq!(world.told(), ["hello"]);
    let session = world.get(session).await;
    assert_eq!((session.status, session.counters.tool_calls), (SessionStatus::Active, 1));
    assert_eq!(session.current_turn_id, None);
}

#[tokio::test(start_paused = true)]
async fn a_second_prompt_goes_to_the_same_agent_and_is_booked_on_its_own_turn() {
    let world = World::new(with_a_tool());
    let session = world.session().await;
    let (first, second) = (world.ask(session, "one").await, world.ask(session, "two").await);
    assert_eq!(world.launcher.agents().len(), 1);
    assert_eq!(world.told(), ["one", "two"]);
    let token = "token-1".to_owned();
    let booked = [Some(first.id), None, Some(second.id), None].map(|turn| (token.clone(), turn));
    assert_eq!(world.access.attributed(), booked);
    assert_eq!(world.access.expected(), [(token.clone(), 1), (token, 3)], "within each turn");
}

#[tokio::test(start_paused = true)]
async fn blocks_are_passed_on_as_blocks() {
    let world = World::new(with_a_tool());
    let session = world.session().await;
    let blocks = json!([{ "type": "text", "text": "look" }, { "type": "image", "source": {} }]);
    let busy = engine::WhenBusy::Reject;
    let started = world.manager.start_turn(&world.caller, session, blocks.clone(), busy).await.unwrap();
    assert_eq!(world.end(started).await.answer.as_deref(), Some("answer to look"));
    assert_eq!(world.launcher.last_agent().prompts()[0]["message"]["content"], blocks);
}

#[tokio::test(start_paused = true)]
async fn of_two_prompts_at_one_instant_one_wins_and_the_other_is_told_that_the_session_is_busy() {
    let world = World::new(with_a_tool());
    let session = world.session().await;
    let (one, two) = tokio::join!(world.prompt(session, "one"), world.prompt(session, "two"));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    assert!(matches!(lost, Err(Error::Busy(_))), "{lost:?}");
    assert_eq!(world.end(won.unwrap()).await.status, TurnStatus::Completed);
    assert_eq!(world.told().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_has_seen_the_end_of_a_turn_can_prompt_at_once() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    for round in 0..200 {
        let started = world.prompt(session, "again").await;
        let turn = world.end(started.unwrap_or_else(|error| unreachable!("round {round}: {error}"))).await;
        assert_eq!(turn.status, TurnStatus::Completed);
    }
    assert_eq!(world.launcher.agents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_while_its_turn_begins_does_not_lose_the_turn() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    world.faults.answers_begin.send_replace(false);
    let given_up = tokio::time::timeout(std::time::Duration::from_secs(1), world.prompt(session, "go")).await;
    assert!(given_up.is_err(), "the store answered");
    world.faults.answers_begin.send_replace(true);
    world.reaches(session, SessionStatus::Active).await;
    let turns = world.manager.turns(&world.caller, session, &all()).await.unwrap().items;
    assert_eq!(turns[0].status, TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_strangers_session_is_not_there() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    let stranger = crate::world::caller();
    let found = world.manager.get(&stranger, session).await;
    assert!(matches!(found, Err(Error::NotFound(_))), "{found:?}");
    let busy = engine::WhenBusy::Queue;
    let prompted = world.manager.start_turn(&stranger, session, json!("hi"), busy).await;
    assert!(matches!(prompted, Err(Error::NotFound(_))), "{prompted:?}");
    assert!(world.manager.terminate(&stranger, session).await.is_err());
    assert_eq!(world.status(session).await, SessionStatus::Created);
}
