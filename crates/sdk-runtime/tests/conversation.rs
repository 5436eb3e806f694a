//! Conversations and queries against the scripted agent: whose message is whose, in any order.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use sdk_runtime::{
    AgentOptions, Background, Conversation, Error, Message, Outcome, Prompt, Queued, StructuredError, Turn,
    TurnError,
    message::{ContentBlock, LifecycleState, Origin},
    query_with,
    testing::{Say, ScriptedLauncher},
};
use serde_json::{Value, json};

async fn start(launcher: &ScriptedLauncher) -> (Conversation, Background) {
    Conversation::start(launcher, AgentOptions::default()).await.unwrap()
}

/// The texts of a turn, and its result.
async fn hear(turn: &mut Turn) -> (Vec<String>, Result<String, TurnError>) {
    let mut texts = Vec::new();
    while let Some(message) = turn.next().await {
        match message {
            Ok(Message::Result(result)) => return (texts, Ok(result.text.unwrap_or_default())),
            Ok(message) => texts.extend(message.text()),
            Err(error) => return (texts, Err(error)),
        }
    }
    panic!("the turn ended without a result");
}

fn lifecycle(prompt: &Value, state: &str) -> Value {
    json!({ "type": "command_lifecycle", "command_uuid": prompt, "state": state })
}

fn text(text: &str) -> Value {
    json!({ "type": "assistant", "parent_tool_use_id": null,
            "message": { "id": "m", "content": [{ "type": "text", "text": text }] } })
}

/// A script that takes over when the first of `count` prompts came and knows the ids of all.
fn with_prompts<F>(count: usize, script: F) -> ScriptedLauncher
where
    F: Fn(&Say, &[Value]) + Send + Sync + 'static,
{
    let script = Arc::new(script);
    ScriptedLauncher::new().on_prompt(move |_, say| {
        let script = Arc::clone(&script);
        async move {
            let is_prompt = |frame: &&Value| frame["type"] == "user";
            say.agent().wait_for(|frames| frames.iter().filter(is_prompt).count() == count).await;
            let ids: Vec<Value> = say.agent().prompts().iter().map(|prompt| prompt["uuid"].clone()).collect();
            script(&say, &ids);
            say.hang().await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn each_turn_has_its_own_messages_and_result() {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        say.text(format!("you said {}", prompt.text()));
    });
    let (conversation, _background) = start(&launcher).await;
    let mut one = conversation.send("one").await.unwrap();
    let mut two = conversation.send("two").await.unwrap();
    // Read in the other order: neither waits for the other.
    assert_eq!(hear(&mut two).await.0, ["you said two"]);
    assert_eq!(hear(&mut one).await.0, ["you said one"]);
    assert!(one.next().await.is_none());
    assert_eq!(conversation.send("three").await.unwrap().text().await.unwrap(), "you said three");
    conversation.close().await;
    let late = conversation.send("late").await;
    assert!(matches!(late, Err(TurnError::Agent(Error::Exited { .. }))), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn prompts_merged_into_one_turn_share_its_messages_and_result() {
    let launcher = with_prompts(3, |say, ids| {
        say.frame(&text("for the first"));
        say.result_with(json!({ "result": "first" }));
        say.frame(&lifecycle(&ids[0], "completed"));
        say.frame(&lifecycle(&ids[1], "started"));
        say.frame(&lifecycle(&ids[2], "started"));
        say.frame(&text("for both"));
        say.result_with(json!({
            "result": "shared", "user_message_uuid": ids[1], "user_message_uuids": [ids[1], ids[2]],
        }));
    });
    let (conversation, _background) = start(&launcher).await;
    let mut turns = Vec::new();
    for word in ["a", "b", "c"] {
        turns.push(conversation.send(word).await.unwrap());
    }
    let [a, b, c] = &mut turns[..] else { unreachable!() };
    let heard = |heard: (Vec<String>, Result<String, TurnError>)| (heard.0, heard.1.unwrap());
    assert_eq!(heard(hear(a).await), (vec!["for the first".into()], "first".into()));
    assert_eq!(heard(hear(b).await), (vec!["for both".into()], "shared".into()));
    assert_eq!(heard(hear(c).await), (vec!["for both".into()], "shared".into()));
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_folded_prompt_hears_the_turn_from_where_it_joined() {
    let launcher = with_prompts(2, |say, ids| {
        say.frame(&text("before"));
        say.frame(&lifecycle(&ids[1], "started"));
        say.frame(&text("after"));
        say.frame(&lifecycle(&ids[1], "completed"));
        say.result_with(json!({ "result": "both", "user_message_uuids": [ids[0], ids[1]] }));
    });
    let (conversation, _background) = start(&launcher).await;
    let mut one = conversation.send("one").await.unwrap();
    let mut two = conversation.send("two").await.unwrap();
    assert_eq!(hear(&mut one).await.0, ["before", "after"]);
    assert_eq!(hear(&mut two).await.0, ["after"]);
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_turn_keeps_its_messages_from_everybody_else() {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        say.text(prompt.text());
    });
    let (conversation, mut background) = start(&launcher).await;
    drop(conversation.send("unheard").await.unwrap());
    let mut heard = conversation.send("heard").await.unwrap();
    assert_eq!(hear(&mut heard).await.0, ["heard"]);
    conversation.close().await;
    while let Some(message) = background.next().await {
        assert!(matches!(message, Message::Lifecycle(_)), "{message:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_no_prompt_is_in_the_background() {
    let launcher = with_prompts(1, |say, _| {
        let call = say.tool_use("Agent", &json!({}));
        let task =
            json!({ "type": "system", "subtype": "task_started", "task_id": "t", "tool_use_id": call });
        say.frame(&task);
        say.result_with(json!({ "result": "started" }));
        // The subagent speaks while another prompt runs, then the agent wakes.
        say.frame(&lifecycle(&json!("0190c3a0-0000-7000-8000-000000000001"), "started"));
        let mut spoken = text("from the subagent");
        spoken["parent_tool_use_id"] = call.as_str().into();
        say.frame(&spoken);
        say.frame(&json!({ "type": "system", "subtype": "task_updated", "task_id": "t", "patch": {} }));
        say.frame(&text("from the turn"));
        say.agent().wake("woke up");
    });
    let (conversation, mut background) = start(&launcher).await;
    let mut one = conversation.send("one").await.unwrap();
    assert_eq!(hear(&mut one).await.1.unwrap(), "started");
    let two: uuid::Uuid = "0190c3a0-0000-7000-8000-000000000001".parse().unwrap();
    let mut heard = Vec::new();
    // The second prompt is sent only now, so all of the rest belongs to nobody.
    loop {
        match background.next().await.unwrap() {
            Message::Result(result) => break assert_eq!(result.text.as_deref(), Some("woke up")),
            message => heard.extend(message.text()),
        }
    }
    assert_eq!(heard, ["from the subagent", "from the turn", "woke up"]);
    drop(conversation.send(Prompt::text("two").with_id(two)).await.unwrap());
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_subagent_of_an_earlier_turn_does_not_speak_in_this_one() {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        if prompt.text() == "one" {
            let call = json!({ "type": "tool_use", "id": "call", "name": "Agent", "input": {} });
            say.block(call);
        } else {
            let mut spoken = text("old");
            spoken["parent_tool_use_id"] = "call".into();
            say.frame(&spoken);
            say.text("new");
        }
    });
    let (conversation, mut background) = start(&launcher).await;
    conversation.send("one").await.unwrap().result().await.unwrap();
    let mut two = conversation.send("two").await.unwrap();
    assert_eq!(hear(&mut two).await.0, ["new"]);
    let old = background.by_ref().filter_map(|message| std::future::ready(message.text())).next().await;
    assert_eq!(old.as_deref(), Some("old"));
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_from_any_clone_ends_the_turn_and_cancels_what_waits() {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        if prompt.text() != "after" {
            say.text("working");
            say.hang().await;
        }
        say.text("fresh");
    });
    let (conversation, _background) = start(&launcher).await;
    let mut running = conversation.send("running").await.unwrap();
    while running.next().await.unwrap().unwrap().text().is_none() {}
    let mut waiting = conversation.send("waiting").await.unwrap();
    let receipt = conversation.clone().interrupt(Queued::Cancel).await.unwrap();
    assert_eq!(receipt.cancelled, [waiting.id()]);
    assert!(matches!(waiting.result().await, Err(TurnError::Cancelled)));
    assert_eq!(running.result().await.unwrap().outcome(), Outcome::Interrupted);
    assert_eq!(conversation.send("after").await.unwrap().text().await.unwrap(), "fresh");
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_every_open_turn_with_what_the_agent_said() {
    let launcher =
        ScriptedLauncher::new().on_prompt(|_, say| async move { say.exit(1, "out of luck").await });
    let (conversation, mut background) = start(&launcher).await;
    let mut one = conversation.send("one").await.unwrap();
    let error = one.result().await.unwrap_err();
    assert!(error.to_string().contains("out of luck"), "{error}");
    while background.next().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn a_failed_turn_has_a_result_and_no_text() {
    let launcher =
        ScriptedLauncher::new().on_prompt(|_, say| async move { say.api_error(529, "overloaded") });
    let (conversation, _background) = start(&launcher).await;
    let error = conversation.send("one").await.unwrap().text().await.unwrap_err();
    assert!(
        matches!(&error, TurnError::Failed { result } if result.api_error_status == Some(529)),
        "{error}"
    );
    let result = conversation.send("two").await.unwrap().result().await.unwrap();
    assert!(matches!(result.structured::<Value>(), Err(StructuredError::TurnFailed { .. })));
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_background_that_nobody_reads_takes_nothing_from_the_turns() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        let mut of_before = text(&"x".repeat(1000));
        of_before["parent_tool_use_id"] = "a call of an earlier turn".into();
        (0..10).for_each(|_| say.frame(&of_before));
        say.text("heard");
    });
    let mut options = AgentOptions::default();
    options.limits.event_bytes_max = 50_000;
    let (conversation, mut background) = Conversation::start(&launcher, options).await.unwrap();
    let ask = async || {
        let mut turn = conversation.send("go").await.unwrap();
        let (texts, result) = hear(&mut turn).await;
        assert_eq!((texts, result.unwrap()), (vec!["heard".to_owned()], "heard".to_owned()));
    };
    for _ in 0..20 {
        ask().await;
    }
    // What was kept is there to be read, then comes word of what was not, and who reads hears again.
    let mut kept = 0;
    loop {
        match background.next().await.unwrap() {
            Message::Lost(lost) => break assert!(lost.is_overrun && lost.bytes <= 50_000, "{lost:?}"),
            message => kept += usize::from(message.text().is_some()),
        }
    }
    assert!((10..200).contains(&kept), "{kept}");
    ask().await;
    while background.next().await.unwrap().text().is_none() {}
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn unread_messages_of_a_turn_stay_bounded_and_the_result_still_comes() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        for _ in 0..1000 {
            say.text("x".repeat(1000));
        }
    });
    let mut options = AgentOptions::default();
    options.limits.event_bytes_max = 100_000;
    let (conversation, _background) = Conversation::start(&launcher, options).await.unwrap();
    let mut turn = conversation.send("flood").await.unwrap();
    // Control traffic passes whatever lies unread.
    conversation.agent().set_permission_mode("plan").await.unwrap();
    launcher.last_agent().wait_for(|frames| frames.len() >= 3).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut count, mut is_overrun, mut has_result) = (0, false, false);
    while let Some(message) = turn.next().await {
        match message.unwrap() {
            Message::Lost(lost) => is_overrun |= lost.is_overrun,
            Message::Result(_) => has_result = true,
            _ => count += 1,
        }
    }
    assert!(is_overrun && has_result && count < 150, "{is_overrun} {has_result} {count}");
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_prompt_asks_for_is_what_the_agent_reads() {
    let launcher = ScriptedLauncher::new();
    let (conversation, _background) = start(&launcher).await;
    let prompt = Prompt::text("/look")
        .with_block(sdk_runtime::message::Image::bytes("image/png", [1, 2, 3]))
        .with_block(
            sdk_runtime::message::Document::text("plum").with_title("T").with_context("C").with_citations(),
        )
        .with_block("and this")
        .verbatim()
        .append_only()
        .with_priority("now".into())
        .with_origin(Origin::new("human"))
        .with_timestamp("2026-01-01T00:00:00Z")
        .with_field("type", "not the type");
    let mut turn = conversation.send(prompt).await.unwrap();
    turn.result().await.unwrap();
    let told = launcher.last_agent().prompts().remove(0);
    let wanted = json!({
        "type": "user", "uuid": turn.id(), "session_id": "", "parent_tool_use_id": null,
        "client_composed": true, "shouldQuery": false, "priority": "now", "origin": { "kind": "human" },
        "timestamp": "2026-01-01T00:00:00Z",
        "message": { "role": "user", "content": [
            { "type": "text", "text": "/look" },
            { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AQID" } },
            { "type": "document", "title": "T", "context": "C", "citations": { "enabled": true },
              "source": { "type": "text", "media_type": "text/plain", "data": "plum" } },
            { "type": "text", "text": "and this" },
        ] },
    });
    assert_eq!(told, wanted);
    let blocks = vec![ContentBlock::from("only text")];
    conversation.send(blocks).await.unwrap().result().await.unwrap();
    assert_eq!(launcher.last_agent().prompts()[1]["message"]["content"][0]["text"], "only text");
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_prompt_says_that_it_was_queued_and_started() {
    let (conversation, _background) = start(&ScriptedLauncher::new()).await;
    let mut turn = conversation.send("x").await.unwrap();
    let mut states = Vec::new();
    while let Some(Ok(message)) = turn.next().await {
        if let Message::Lifecycle(lifecycle) = message {
            assert_eq!(lifecycle.prompt(), Some(turn.id()));
            states.push(lifecycle.state);
        }
    }
    assert_eq!(states, [LifecycleState::Queued, LifecycleState::Started]);
    conversation.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_query_ends_with_its_result_and_leaves_no_agent() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move { say.text("four") });
    let shared = Arc::new(launcher.clone());
    let text = query_with(shared.clone(), "two and two?", AgentOptions::default()).text().await.unwrap();
    assert_eq!(text, "four");
    assert!(launcher.alive().is_empty());
    let agent = launcher.last_agent();
    let env = &agent.invocation().env;
    assert_eq!(env["CLAUDE_CODE_SDK_READS_SESSION_STATE"], "1");

    // Dropped in the middle.
    let mut messages = query_with(shared, "again", AgentOptions::default());
    messages.next().await.unwrap().unwrap();
    let agent = launcher.last_agent();
    drop(messages);
    agent.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_query_waits_for_the_background_and_not_for_ever() {
    let script = |does_end: bool| {
        ScriptedLauncher::new().on_prompt(move |_, say| async move {
            let started = json!({
                "type": "system", "subtype": "task_started", "task_id": "t", "is_backgrounded": true,
            });
            say.frame(&started);
            say.text("it runs");
            say.result();
            let agent = say.agent().clone();
            if does_end {
                let ended = json!({
                    "type": "system", "subtype": "task_notification", "task_id": "t", "status": "completed",
                });
                say.frame(&ended);
                agent.wake("it is done");
            }
        })
    };
    let launcher = script(true);
    let result =
        query_with(Arc::new(launcher.clone()), "go", AgentOptions::default()).result().await.unwrap();
    assert_eq!(result.text.as_deref(), Some("it is done"));
    assert!(launcher.alive().is_empty());

    let launcher = script(false);
    let started = tokio::time::Instant::now();
    let result =
        query_with(Arc::new(launcher.clone()), "go", AgentOptions::default()).result().await.unwrap();
    assert_eq!(result.text.as_deref(), Some("it runs"));
    assert!(started.elapsed() >= Duration::from_secs(600));
    assert!(launcher.alive().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_query_waits_until_the_session_says_that_it_is_idle() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        let state =
            |state: &str| json!({ "type": "system", "subtype": "session_state_changed", "state": state });
        say.frame(&state("running"));
        say.text("first");
        say.result();
        say.agent().wake("second");
        say.frame(&state("idle"));
        say.agent().wake("nobody waits for this");
    });
    let texts = query_with(Arc::new(launcher), "go", AgentOptions::default());
    let texts: Vec<String> = texts.filter_map(async |message| message.unwrap().text()).collect().await;
    assert_eq!(texts, ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_cannot_start_says_why() {
    let launcher = ScriptedLauncher::new().exits_at_start(1, "no such session");
    let error = query_with(Arc::new(launcher), "go", AgentOptions::default()).text().await.unwrap_err();
    assert!(matches!(&error, TurnError::Agent(Error::Startup { .. })), "{error:?}");
    assert!(error.to_string().contains("no such session"));
}
