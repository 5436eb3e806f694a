//! Turns: prompts, interrupts, what hooks and gates say, and large amounts.

use std::sync::Arc;

use async_trait::async_trait;
use sdk_runtime::{
    Decision, Error, Event, Frame, Gate, Hook, HookInput, HookOutput, HookRegistration, Outcome,
    PromptContent, Queued, SeamError, SessionStart, SkipReason, ToolQuestion, probe,
};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, cli, next, result_of, say, start_error, tool_results};

struct No(&'static str);

#[async_trait]
impl Gate for No {
    async fn can_use_tool(&self, _question: ToolQuestion) -> Result<Decision, SeamError> {
        Ok(Decision::deny(self.0))
    }
}

#[async_trait]
impl Hook for No {
    async fn on(&self, _input: HookInput) -> Result<HookOutput, SeamError> {
        Ok(HookOutput::deny_tool(self.0))
    }
}

struct Broken;

#[async_trait]
impl Hook for Broken {
    async fn on(&self, _input: HookInput) -> Result<HookOutput, SeamError> {
        Err("the policy store is away".into())
    }
}

struct BlockPrompt;

#[async_trait]
impl Hook for BlockPrompt {
    async fn on(&self, _input: HookInput) -> Result<HookOutput, SeamError> {
        Ok(HookOutput::block("not today"))
    }
}

#[tokio::test]
async fn a_prompt_gets_its_result_and_a_second_one_follows() {
    let bench = Bench::new().await;
    let (agent, mut events) = bench.start(bench.options()).await;
    assert_eq!(agent.initialized().pid, agent.pid());
    let id = say(&agent, "go [[text:hello there]]").await;
    let result = result_of(&mut events, id).await;
    assert_eq!(result.outcome(), Outcome::Completed);
    assert_eq!(result.text.as_deref(), Some("hello there"));
    let blocks = json!([{ "type": "text", "text": "again [[text:second]]" }]);
    let id = agent.prompt(PromptContent::Blocks(blocks)).await.unwrap();
    let result = result_of(&mut events, id).await;
    assert_eq!(result.text.as_deref(), Some("second"));
    let exit = agent.close().await;
    assert_eq!((exit.code, exit.swept), (Some(0), 0));
    let late = agent.prompt(PromptContent::Text("late".into())).await;
    assert!(matches!(late, Err(Error::Exited { .. })), "{late:?}");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn an_id_used_before_is_refused_instead_of_lost() {
    let bench = Bench::new().await;
    let (agent, mut events) = bench.start(bench.options()).await;
    let id = say(&agent, "go [[text:one]]").await;
    result_of(&mut events, id).await;
    let again = agent.prompt_with_id(id, PromptContent::Text("x".into())).await;
    assert!(matches!(again, Err(Error::DuplicatePrompt { .. })), "{again:?}");
    agent.close().await;
}

#[tokio::test]
async fn partial_messages_arrive_as_deltas() {
    let bench = Bench::new().await;
    let options = bench.options().with_partial_messages(true);
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, "go [[text:several words in a row]]").await;
    let mut streamed = String::new();
    loop {
        match next(&mut events).await {
            Event::Frame(frame) => streamed.push_str(frame.text_delta().unwrap_or_default()),
            Event::Finished { prompts, .. } if prompts == [id] => break,
            _ => {}
        }
    }
    assert_eq!(streamed, "several words in a row");
    agent.close().await;
}

#[tokio::test]
async fn an_interrupt_drains_its_result_before_the_next_prompt() {
    let bench = Bench::new().await;
    let options = bench.options().with_partial_messages(true);
    let (agent, mut events) = bench.start(options).await;
    let first = say(&agent, "go [[endless]]").await;
    loop {
        if let Event::Frame(frame) = next(&mut events).await
            && frame.text_delta().is_some()
        {
            break;
        }
    }
    let receipt = agent.interrupt(Queued::Keep).await.unwrap();
    assert!(receipt.still_queued.is_empty());
    let second = say(&agent, "go [[text:after]]").await;
    let result = result_of(&mut events, first).await;
    assert_eq!(result.outcome(), Outcome::Interrupted);
    let result = result_of(&mut events, second).await;
    assert_eq!(result.text.as_deref(), Some("after"));
    agent.close().await;
}

#[tokio::test]
async fn an_answer_of_twenty_megabytes_passes() {
    let bench = Bench::new().await;
    let (agent, mut events) = bench.start(bench.options()).await;
    let id = say(&agent, "go [[big:20000000]]").await;
    let result = result_of(&mut events, id).await;
    assert_eq!(result.text.map(|text| text.len()), Some(20_000_000));
    agent.close().await;
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_skipped_and_its_prompt_still_ends() {
    let bench = Bench::new().await;
    let mut options = bench.options();
    options.limits.line_bytes_max = 200_000;
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, "go [[big:300000]]").await;
    let mut skipped = 0;
    loop {
        match next(&mut events).await {
            Event::Skipped { reason: SkipReason::Oversized, bytes } => {
                assert!(bytes > 300_000);
                skipped += 1;
            }
            Event::Dropped { prompts, .. } => break assert_eq!(prompts, [id]),
            Event::Finished { .. } => panic!("the result was longer than the bound"),
            _ => {}
        }
    }
    assert!(skipped >= 2, "the message and the result");
    let id = say(&agent, "go [[text:small]]").await;
    assert_eq!(result_of(&mut events, id).await.text.as_deref(), Some("small"));
    agent.close().await;
}

#[tokio::test]
async fn a_prompt_of_eight_megabytes_passes() {
    let bench = Bench::new().await;
    let mut options = bench.options();
    // The CLI estimates the tokens itself and would call the prompt too long for any model.
    let limit = ("CLAUDE_CODE_BLOCKING_LIMIT_OVERRIDE", "100000000");
    options.env.insert(limit.0.to_owned(), limit.1.to_owned());
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, &format!("{} [[text:read it]][[usage:in=10]]", "long ".repeat(1_600_000))).await;
    let result = result_of(&mut events, id).await;
    assert_eq!(result.text.as_deref(), Some("read it"));
    agent.close().await;
}

#[tokio::test]
async fn what_the_gate_says_is_what_the_agent_reads() {
    let bench = Bench::new().await;
    let gate: Arc<dyn Gate> = Arc::new(No("ask again tomorrow"));
    let options = bench.options().with_gate(Some(gate));
    let (agent, mut events) = bench.start(options).await;
    let told = tool_results(&mut events, touch(&agent).await).await;
    assert_eq!(told, ["\"ask again tomorrow\""]);
    assert!(!bench.path("work/a.txt").exists());
    agent.close().await;
}

#[tokio::test]
async fn without_a_gate_the_agent_reads_that_nobody_is_there() {
    let bench = Bench::new().await;
    let (agent, mut events) = bench.start(bench.options()).await;
    let told = tool_results(&mut events, touch(&agent).await).await;
    assert!(told[0].contains("nobody is here to approve"), "{told:?}");
    assert!(!bench.path("work/a.txt").exists());
    agent.close().await;
}

#[tokio::test]
async fn a_hook_denies_and_the_agent_reads_why() {
    for (hook, words) in [
        (Arc::new(No("house rules")) as Arc<dyn Hook>, "house rules"),
        (Arc::new(Broken), "the policy store is away"),
    ] {
        let bench = Bench::new().await;
        // Even what the rules allow: policy comes before them.
        let options = bench
            .options()
            .with_allowed_tools(vec!["Bash".to_owned()])
            .with_hook(HookRegistration::new("PreToolUse", hook));
        let (agent, mut events) = bench.start(options).await;
        let told = tool_results(&mut events, touch(&agent).await).await;
        assert!(told[0].contains(words), "{told:?}");
        assert!(!bench.path("work/a.txt").exists());
        agent.close().await;
    }
}

#[tokio::test]
async fn a_prompt_blocked_by_a_hook_ends_with_a_result() {
    let bench = Bench::new().await;
    let hook = HookRegistration::new("UserPromptSubmit", Arc::new(BlockPrompt));
    let (agent, mut events) = bench.start(bench.options().with_hook(hook)).await;
    let id = say(&agent, "go").await;
    let result = result_of(&mut events, id).await;
    assert_eq!(result.num_turns, 0);
    agent.close().await;
}

#[tokio::test]
async fn unread_messages_do_not_hold_up_an_interrupt() {
    let bench = Bench::new().await;
    let options = bench.options().with_partial_messages(true);
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, "go [[deltas:20000]][[endless]]").await;
    // Long enough for many deltas to lie there; the interrupt must come through whatever their number.
    crate::bench::wait_until(|| events.unread_bytes() > 5_000_000).await;
    agent.interrupt(Queued::Cancel).await.unwrap();
    assert!(events.unread_bytes() > 5_000_000, "nobody has read");
    let result = result_of(&mut events, id).await;
    assert_eq!(result.outcome(), Outcome::Interrupted);
    agent.close().await;
}

#[tokio::test]
async fn an_overrun_is_said_and_results_still_come() {
    let bench = Bench::new().await;
    let mut options = bench.options().with_partial_messages(true);
    options.limits.event_bytes_max = 100_000;
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, "go [[deltas:2000]]").await;
    agent.set_permission_mode("plan").await.unwrap();
    // Only a result is let in beyond the bound.
    crate::bench::wait_until(|| events.unread_bytes() > 100_000).await;
    let mut is_overrun = false;
    loop {
        match next(&mut events).await {
            Event::Overrun { .. } => is_overrun = true,
            Event::Finished { prompts, .. } if prompts == [id] => break,
            Event::Frame(_) => assert!(!is_overrun, "frames were skipped in silence"),
            _ => {}
        }
    }
    assert!(is_overrun);
    agent.close().await;
}

#[tokio::test]
async fn a_session_continues_where_it_was() {
    let bench = Bench::new().await;
    let id = Uuid::new_v4();
    let options = bench.options().with_session(SessionStart::New { id });
    let (agent, mut events) = bench.start(options).await;
    let prompt = say(&agent, "remember the plum [[text:noted]]").await;
    result_of(&mut events, prompt).await;
    agent.close().await;
    let session = SessionStart::Resume { id, at: None, fork: None };
    let (agent, mut events) = bench.start(bench.options().with_session(session)).await;
    let prompt = say(&agent, "go on [[text:the plum]]").await;
    let result = result_of(&mut events, prompt).await;
    assert_eq!(result.session_id, id.to_string());
    let asked = bench.model.requests().pop().unwrap();
    let body = String::from_utf8_lossy(&asked.body).into_owned();
    assert!(body.contains("remember the plum"));
    agent.close().await;
}

#[tokio::test]
async fn a_start_that_fails_says_what_the_cli_said() {
    let bench = Bench::new().await;
    let id = Uuid::new_v4();
    let session = SessionStart::Resume { id, at: None, fork: None };
    let error = start_error(bench.options().with_session(session)).await;
    assert!(matches!(error, Error::Startup { .. }), "{error:?}");
    let wanted = format!("No conversation found with session ID: {id}");
    assert!(error.to_string().contains(&wanted), "{error}");

    let flag = vec![("no-such-flag".to_owned(), None)];
    let error = start_error(bench.options().with_extra_args(flag)).await;
    assert!(error.to_string().contains("no-such-flag"), "{error}");

    let error = start_error(bench.options().with_cli("/nowhere/claude")).await;
    assert!(matches!(error, Error::CliNotFound { .. }), "{error:?}");

    let error = start_error(bench.options().with_cwd("/nowhere")).await;
    assert!(matches!(error, Error::CwdNotFound { .. }), "{error:?}");

    let error = start_error(bench.options().with_cli("/bin/true")).await;
    assert!(matches!(error, Error::Startup { .. }), "{error:?}");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn the_version_is_read_and_nonsense_refused() {
    assert!(probe(&cli()).await.is_ok());
    let error = probe("/bin/true".as_ref()).await.unwrap_err();
    assert!(matches!(error, Error::VersionUnreadable { .. }), "{error:?}");
    let error = probe("/nowhere/claude".as_ref()).await.unwrap_err();
    assert!(matches!(error, Error::CliNotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn init_comes_with_each_turn() {
    let bench = Bench::new().await;
    let (agent, mut events) = bench.start(bench.options()).await;
    let id = say(&agent, "go [[text:x]]").await;
    let mut has_init = false;
    loop {
        match next(&mut events).await {
            Event::Frame(Frame::System { subtype, .. }) => has_init |= subtype == "init",
            Event::Finished { prompts, .. } if prompts == [id] => break,
            _ => {}
        }
    }
    assert!(has_init);
    agent.close().await;
}

/// A prompt that makes the agent want to write a file.
async fn touch(agent: &sdk_runtime::Agent) -> Uuid {
    say(agent, r#"go [[tool:Bash {"command":"touch a.txt"}]][[next]][[text:done]]"#).await
}
