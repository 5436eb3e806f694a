//! The conversation surface with the real agent: turns, queries, structured answers, recordings.

use std::sync::Arc;

use futures::StreamExt as _;
use sdk_runtime::{
    Agent, Conversation, Message, Outcome, ProcessLauncher, Prompt, Queued, StructuredError, Turn, TurnError,
    message::{Document, Image, OriginKind},
    query,
    recording::{Recorder, Recording, Replayer},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::bench::{Bench, PATIENCE, next, result_of};

async fn talk(bench: &Bench) -> (Conversation, sdk_runtime::Background) {
    let options = bench.options().with_partial_messages(true);
    Conversation::start(&ProcessLauncher, options).await.unwrap()
}

/// Reads a turn until a message satisfies `is_it`.
async fn until(turn: &mut Turn, is_it: impl Fn(&Message) -> bool) {
    loop {
        let message = timeout(PATIENCE, turn.next()).await.unwrap().unwrap().unwrap();
        if is_it(&message) {
            return;
        }
    }
}

fn is_tool_use(message: &Message) -> bool {
    matches!(message, Message::Assistant(said) if said.tool_uses().next().is_some())
}

#[tokio::test]
async fn queued_prompts_share_a_turn_and_an_interrupted_one_ends_alone() {
    let bench = Bench::new().await;
    let (conversation, _background) = talk(&bench).await;
    let mut first = conversation.send("go [[endless]]").await.unwrap();
    until(&mut first, |message| message.text_delta().is_some()).await;
    let mut second = conversation.send("go [[text:two]]").await.unwrap();
    let mut third = conversation.send("go [[text:three]]").await.unwrap();
    // Both wait now, which the agent says of each.
    until(&mut second, |message| matches!(message, Message::Lifecycle(_))).await;
    until(&mut third, |message| matches!(message, Message::Lifecycle(_))).await;
    let receipt = conversation.clone().interrupt(Queued::Keep).await.unwrap();
    assert_eq!(receipt.still_queued, [second.id(), third.id()]);
    assert_eq!(first.result().await.unwrap().outcome(), Outcome::Interrupted);
    let (second, third) = tokio::join!(second.result(), third.result());
    let (second, third) = (second.unwrap(), third.unwrap());
    assert_eq!(second.outcome(), Outcome::Completed);
    assert_eq!(second.uuid(), third.uuid());
    conversation.close().await;
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_prompt_sent_while_a_tool_runs_ends_with_the_turn_it_joined() {
    let bench = Bench::new().await;
    let options = bench.options().with_allowed_tools(vec!["Bash".to_owned()]);
    let (conversation, _background) = Conversation::start(&ProcessLauncher, options).await.unwrap();
    let script =
        r#"go [[tool:Bash {"command":"until test -e b; do sleep 0.05; done"}]][[next]][[text:both]]"#;
    let mut first = conversation.send(script).await.unwrap();
    until(&mut first, is_tool_use).await;
    let mut second = conversation.send("and this [[text:both]]").await.unwrap();
    until(&mut second, |message| matches!(message, Message::Lifecycle(_))).await;
    std::fs::write(bench.path("work/b"), "").unwrap();
    let (first, second) = tokio::join!(first.result(), second.result());
    assert_eq!(first.unwrap().uuid(), second.unwrap().uuid());
    conversation.close().await;
}

#[tokio::test]
async fn what_a_prompt_asks_for_is_what_the_model_gets() {
    let bench = Bench::new().await;
    let (conversation, _background) = talk(&bench).await;
    let pixel =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let prompt = Prompt::text("look")
        .with_block(Image::base64("image/png", pixel))
        .with_block(Document::text("the plum is ripe").with_title("Fruit").with_citations());
    // The CLI says where it put the picture, which the offline model takes for the prompt.
    assert!(conversation.send(prompt).await.unwrap().text().await.unwrap().contains("[Image:"));
    let request =
        |bench: &Bench| String::from_utf8(bench.model.requests().pop().unwrap().body.to_vec()).unwrap();
    let asked = request(&bench);
    assert!(asked.contains("the plum is ripe") && asked.contains("Fruit") && asked.contains(pixel));

    // A command is no command when it is taken as it is.
    let turn = conversation.send(Prompt::text("/context [[text:verbatim]]").verbatim()).await.unwrap();
    assert_eq!(turn.text().await.unwrap(), "verbatim");
    assert!(request(&bench).contains("/context [[text:verbatim]]"));

    let before = bench.model.requests().len();
    let note = Prompt::text("the code word is quince").append_only();
    let result = conversation.send(note).await.unwrap().result().await.unwrap();
    assert_eq!((result.num_turns, bench.model.requests().len()), (0, before));
    assert_eq!(conversation.send("go [[text:noted]]").await.unwrap().text().await.unwrap(), "noted");
    assert!(request(&bench).contains("the code word is quince"));
    conversation.close().await;
}

#[tokio::test]
async fn a_query_ends_when_its_background_work_is_done() {
    let bench = Bench::new().await;
    let call = r#"[[tool:Agent {"description":"bg","prompt":"[[delay:300]][[text:bg done]]","subagent_type":"general-purpose"}]]"#;
    let prompt = format!("go {call}[[next]][[text:started]]");
    let mut messages = query(prompt, bench.options());
    let mut results = Vec::new();
    while let Some(message) = timeout(PATIENCE, messages.next()).await.unwrap() {
        if let Message::Result(result) = message.unwrap() {
            results.push(result.origin().map(|origin| origin.kind));
        }
    }
    assert_eq!(results, [None, Some(OriginKind::TaskNotification)]);
    bench.assert_nothing_left().await;

    assert_eq!(query("go [[text:short]]", bench.options()).text().await.unwrap(), "short");
    let error = query("go [[error:400]]", bench.options()).text().await.unwrap_err();
    assert!(
        matches!(&error, TurnError::Failed { result } if result.api_error_status == Some(400)),
        "{error}"
    );
    bench.assert_nothing_left().await;
}

#[derive(Debug, PartialEq, Deserialize, schemars::JsonSchema)]
struct Review {
    /// From 1 to 5.
    stars: u8,
    summary: String,
}

#[tokio::test]
async fn a_structured_answer_is_a_value_and_its_absence_an_error() {
    let bench = Bench::new().await;
    let options = bench.options().with_output::<Review>();
    let (conversation, _background) = Conversation::start(&ProcessLauncher, options).await.unwrap();
    // The first attempt does not fit the schema, which the agent tells the model.
    let script = r#"go [[tool!:StructuredOutput {"stars":"many"}]][[next]][[tool!:StructuredOutput {"stars":4,"summary":"fine"}]][[next]][[text:end]]"#;
    let result = conversation.send(script).await.unwrap().result().await.unwrap();
    let review: Review = result.structured().unwrap();
    assert_eq!(review, Review { stars: 4, summary: "fine".into() });
    let error = result.structured::<Vec<u8>>().unwrap_err();
    assert!(matches!(error, StructuredError::Unreadable { .. }), "{error}");

    let result = conversation.send("go [[text:I would rather not]]").await.unwrap().result().await.unwrap();
    assert!(!result.is_error);
    let error = result.structured::<Review>().unwrap_err();
    assert!(matches!(error, StructuredError::NotProduced { .. }), "{error}");
    conversation.close().await;
}

#[tokio::test]
async fn a_recorded_conversation_replays_the_same() {
    let bench = Bench::new().await;
    let recorder = Recorder::to_folder(ProcessLauncher, bench.path("recordings")).unwrap();
    let scripts = [
        r#"go [[think:hm]][[tool:Bash {"command":"touch a.txt"}]][[next]][[text:denied]]"#,
        "go [[text:second]]",
    ];
    let talk = async |agent: &Agent, events: &mut sdk_runtime::Events| {
        let mut heard = Vec::new();
        for script in scripts {
            let id = agent.prompt(script).await.unwrap();
            heard.push(json!({ "text": result_of(events, id).await.text }));
        }
        agent.set_permission_mode("plan").await.unwrap();
        agent.close().await;
        loop {
            if let sdk_runtime::Event::Exited(said) = next(events).await {
                heard.push(json!(said.exit.code));
                return heard;
            }
        }
    };
    let options = bench.options().with_partial_messages(true);
    let (agent, mut events) = Agent::start(&recorder, options.clone()).await.unwrap();
    let first = talk(&agent, &mut events).await;
    recorder.finished().await.unwrap();
    bench.assert_nothing_left().await;

    let file = std::fs::read_dir(bench.path("recordings")).unwrap().next().unwrap().unwrap().path();
    let recording = Recording::open(file).unwrap();
    assert_eq!(recording.prompts(), scripts.map(Prompt::from));
    let replayer = Arc::new(Replayer::new(recording));
    let (agent, mut events) = Agent::start(&*replayer, options).await.unwrap();
    assert_eq!(talk(&agent, &mut events).await, first);
}
