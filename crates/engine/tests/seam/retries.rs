//! Turns that are begun anew, and those that are not.

use crate::world::{World, kinds};
use domain::{EventBody, EventKind, SessionStatus, TurnFailure, TurnStatus};
use engine::{Error, SessionDraft};
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::time::Instant;

/// Agents of which the first so many die at their first prompt, after calling a tool if they are told to.
fn dying(deaths: usize, tool: Option<&'static str>) -> ScriptedLauncher {
    let left = Arc::new(AtomicUsize::new(deaths));
    ScriptedLauncher::new().on_prompt(move |prompt, say| {
        let dies = prompt.text() != "one"
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        async move {
            if dies {
                if let Some(tool) = tool {
                    say.tool_use(tool, &json!({}));
                }
                say.exit(3, "out of memory").await;
            }
            say.text("done");
        }
    })
}

fn values(args: &[String], flag: &str) -> Vec<String> {
    args.iter().filter_map(|arg| arg.strip_prefix(flag)).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_before_it_called_a_tool_is_started_anew_where_the_conversation_was() {
    let world = World::new(dying(2, None));
    let session = world.session().await;
    world.ask(session, "one").await;
    let conversation = world.get(session).await.agent.unwrap();
    let begun = Instant::now();
    let turn = world.ask(session, "two").await;
    assert_eq!((turn.status, turn.retries), (TurnStatus::Completed, 2));
    // One second and then two, each within a tenth.
    let waited = begun.elapsed().as_secs_f64();
    assert!((2.7..3.5).contains(&waited), "{waited}");

    let agents = world.launcher.agents();
    assert_eq!(agents.len(), 3);
    for agent in &agents[1..] {
        assert_eq!(values(&agent.args(), "--resume="), [conversation.id.to_string()]);
        let entry = conversation.last_entry.unwrap().to_string();
        assert_eq!(values(&agent.args(), "--resume-session-at="), [entry]);
    }
    assert_eq!(world.told(), ["one", "two", "two", "two"]);
    let events = world.journal(session).await;
    let notices: Vec<_> = events
        .iter()
        .filter(|event| event.kind == EventKind::Notice)
        .map(|event| match &event.body {
            EventBody::Data(data) => (data["what"].clone(), data["attempt"].clone()),
            EventBody::Message(_) => unreachable!("a notice is no message"),
        })
        .collect();
    assert_eq!(notices, [(json!("turn_retry"), json!(1)), (json!("turn_retry"), json!(2))]);
    assert_eq!(world.get(session).await.counters.retries, 2);
    assert_eq!(world.access.open().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_begun_anew_no_oftener_than_allowed() {
    let world = World::new(dying(9, None));
    let session = world.session().await;
    let turn = world.ask(session, "two").await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Failed, Some(TurnFailure::AgentFailed)));
    assert_eq!(turn.retries, 2);
    assert!(turn.error_message.unwrap().contains("out of memory"));
    assert_eq!(world.launcher.agents().len(), 3);
    assert_eq!(world.access.open(), [""; 0]);
    assert_eq!(world.get(session).await.counters.errors, 1);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_called_a_tool_is_not_begun_anew_and_the_next_prompt_resumes() {
    let world = World::new(dying(1, Some("Bash")));
    let session = world.session().await;
    let turn = world.ask(session, "two").await;
    assert_eq!((turn.status, turn.failure), (TurnStatus::Failed, Some(TurnFailure::AgentFailed)));
    assert_eq!(world.launcher.agents().len(), 1);
    assert!(!kinds(&world.journal(session).await).contains(&"notice"));
    let call = &world.manager.turn_tool_calls(turn.id).await.unwrap()[0];
    assert_eq!(call.status, domain::ToolCallStatus::Interrupted);

    assert_eq!(world.ask(session, "three").await.status, TurnStatus::Completed);
    let args = world.launcher.last_agent().args();
    assert_eq!(values(&args, "--resume="), [session.to_string()]);
    assert_eq!(values(&args, "--resume-session-at="), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_died_while_it_was_idle_costs_neither_the_turn_nor_a_retry() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session_of(SessionDraft { max_retries: Some(0), ..Default::default() }).await;
    world.ask(session, "one").await;
    let agent = world.launcher.last_agent();
    agent.die();
    agent.ended().await;
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let turn = world.ask(session, "two").await;
    assert_eq!((turn.status, turn.retries), (TurnStatus::Completed, 0));
    assert_eq!(world.access.open().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_not_installed_is_not_tried_again() {
    let path = "/opt/claude".into();
    let world = World::new(ScriptedLauncher::new().fails_to_launch(sdk_runtime::Error::CliNotFound { path }));
    let session = world.session().await;
    let turn = world.ask(session, "one").await;
    assert_eq!((turn.failure, turn.retries), (Some(TurnFailure::AgentUnavailable), 0));
    let message = turn.error_message.unwrap();
    assert!(!message.contains("/opt"), "shows a path of the server: {message}");
    assert_eq!(world.status(session).await, SessionStatus::Active);
    assert_eq!(world.access.admitted(), 1);
    assert_eq!(world.access.open(), [""; 0]);
    assert_eq!(world.manager.live_agents(), 0);
}

fn refused_by_the_system(kind: std::io::ErrorKind) -> sdk_runtime::Error {
    sdk_runtime::Error::Spawn { program: "/opt/hidden/claude".into(), source: Arc::new(kind.into()) }
}

#[tokio::test(start_paused = true)]
async fn an_agent_the_system_will_never_start_is_not_tried_again() {
    use std::io::ErrorKind as K;
    for (kind, retries) in [(K::InvalidInput, 0), (K::ArgumentListTooLong, 0), (K::WouldBlock, 2)] {
        let world = World::new(ScriptedLauncher::new().fails_to_launch(refused_by_the_system(kind)));
        let session = world.session().await;
        let turn = world.ask(session, "one").await;
        assert_eq!((turn.failure, turn.retries), (Some(TurnFailure::AgentFailed), retries), "{kind}");
        assert_eq!(turn.error_message, Some(format!("could not start the agent: {kind}")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_whose_transcript_is_lost_says_so() {
    let world = World::new(ScriptedLauncher::new());
    let session = world.session().await;
    world.ask(session, "one").await;
    let next = world.next_life();
    world.manager.shut_down(std::time::Duration::from_secs(60)).await;
    std::fs::remove_dir_all(world.settings.directories.agents.join(session.to_string())).unwrap();
    let started = next.queue(session, "two").await.unwrap();
    let turn = next.end(started).await;
    assert_eq!((turn.failure, turn.retries), (Some(TurnFailure::AgentFailed), 0));
    let message = turn.error_message.unwrap();
    assert!(message.contains("transcript is lost") && message.contains("new session"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_says_why_it_will_not_start_is_not_tried_again() {
    let world = World::new(ScriptedLauncher::new().exits_at_start(1, "unknown option"));
    let session = world.session().await;
    let turn = world.ask(session, "one").await;
    assert_eq!((turn.failure, turn.retries), (Some(TurnFailure::AgentFailed), 0));
    assert!(turn.error_message.unwrap().contains("unknown option"));
}

#[tokio::test(start_paused = true)]
async fn without_an_agent_on_the_machine_a_prompt_is_refused() {
    let world = World::with(ScriptedLauncher::new(), |settings| {
        settings.agent.cli = Err("install it".to_owned());
    });
    let session = world.session().await;
    let refused = world.prompt(session, "one").await;
    assert!(matches!(&refused, Err(Error::AgentUnavailable(why)) if why == "install it"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_model_is_the_turns_end() {
    let world = World::new(ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.api_error(529, "Overloaded");
    }));
    let session = world.session().await;
    let turn = world.ask(session, "one").await;
    assert_eq!((turn.failure, turn.retries), (Some(TurnFailure::ModelFailed), 0));
    assert_eq!(turn.error_message.as_deref(), Some("Overloaded"));
    assert_eq!(world.launcher.alive().len(), 1);
}
