//! Retrying against scripted agents, in virtual time: what is tried again, and what never is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to fail")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sdk_runtime::{
    Agent, AgentOptions, Error, Event, Events, Invocation, Launcher, Outcome, PromptContent, Transport,
    retry::{
        BreakerState, CircuitBreaker, GaveUp, NoRetry, Retry, RetryBudget, RetryError, RetryVerdict, Turn,
    },
    testing::{Say, ScriptedLauncher},
};
use serde_json::json;
use tokio::time::Instant;

/// Fails so often before it launches.
struct Flaky {
    inner: ScriptedLauncher,
    failures_left: AtomicUsize,
    error: Error,
}

#[async_trait]
impl Launcher for Flaky {
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error> {
        let is_failing = self
            .failures_left
            .try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        if is_failing { Err(self.error.clone()) } else { self.inner.launch(invocation).await }
    }
}

fn flaky(failures: usize, error: Error) -> Flaky {
    Flaky { inner: ScriptedLauncher::new(), failures_left: failures.into(), error }
}

fn busy() -> Error {
    let source = std::io::Error::from_raw_os_error(nix::libc::EAGAIN);
    Error::Spawn { program: "claude".into(), source: Arc::new(source) }
}

async fn start(retry: &Retry, launcher: &Flaky) -> Result<(Agent, Events), RetryError> {
    retry.start(launcher, &AgentOptions::default()).await
}

/// Runs one turn with this script and says how it went and how often the script ran.
async fn turn<F>(retry: &Retry, script: F) -> (Result<Turn, RetryError>, usize)
where
    F: Fn(usize, Say) -> futures::future::BoxFuture<'static, ()> + Send + Sync + 'static,
{
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let launcher = ScriptedLauncher::new()
        .on_prompt(move |_, say| script(counted.fetch_add(1, Ordering::SeqCst) + 1, say));
    let (agent, mut events) = Agent::start(&launcher, AgentOptions::default()).await.unwrap();
    let content = PromptContent::Text("go".into());
    let turn = retry.prompt(&agent, &mut events, content, |_| {}).await;
    (turn, runs.load(Ordering::SeqCst))
}

fn api_error(say: &Say, status: u16) {
    say.frame(&json!({
        "type": "assistant", "error": "overloaded",
        "message": { "content": [{ "type": "text", "text": "API Error" }] },
    }));
    say.result_with(json!({
        "is_error": true, "terminal_reason": "api_error", "api_error_status": status,
    }));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_for_now_is_tried_again_with_growing_waits() {
    let began = Instant::now();
    let launcher = flaky(2, busy());
    start(&Retry::default(), &launcher).await.unwrap();
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(1500) && waited < Duration::from_secs(4), "{waited:?}");

    let error = start(&Retry::default(), &flaky(3, busy())).await.unwrap_err();
    let RetryError::Failed { attempts: 3, why: GaveUp::Attempts, source } = error else {
        panic!("{error:?}");
    };
    assert!(matches!(source, Error::Spawn { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_for_good_is_tried_once() {
    let error =
        start(&Retry::default(), &flaky(9, Error::CliNotFound { path: "x".into() })).await.unwrap_err();
    assert!(matches!(error, RetryError::Failed { attempts: 1, why: GaveUp::NotRetryable, .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_turn_without_effects_is_repeated_under_another_id() {
    let (turn, runs) = turn(&Retry::default(), |run, say| {
        Box::pin(async move {
            match run {
                1 => api_error(&say, 529),
                _ => say.text("well"),
            }
        })
    })
    .await;
    let turn = turn.unwrap();
    assert_eq!((turn.attempts, turn.gave_up, runs), (2, None, 2));
    assert_eq!(turn.result.text.as_deref(), Some("well"));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_did_anything_is_never_repeated() {
    let (with_tool, runs) = turn(&Retry::default(), |_, say| {
        Box::pin(async move {
            let id = say.tool_use("Bash", &json!({}));
            say.tool_result(&id, "done");
            api_error(&say, 529);
        })
    })
    .await;
    let with_tool = with_tool.unwrap();
    assert_eq!((with_tool.gave_up, runs), (Some(GaveUp::NotRetryable), 1));
    assert_eq!(with_tool.result.outcome(), Outcome::ApiError { status: Some(529) });

    let (with_words, runs) = turn(&Retry::default(), |_, say| {
        Box::pin(async move {
            say.delta("so ");
            api_error(&say, 529);
        })
    })
    .await;
    assert_eq!((with_words.unwrap().gave_up, runs), (Some(GaveUp::NotRetryable), 1));

    let (refused, runs) =
        turn(&Retry::default(), |_, say| Box::pin(async move { api_error(&say, 400) })).await;
    assert_eq!((refused.unwrap().gave_up, runs), (Some(GaveUp::NotRetryable), 1));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_says_whether_its_prompt_may_go_to_another() {
    for (has_tool, may) in [(false, true), (true, false)] {
        let (turn, _) = turn(&Retry::default(), move |_, say| {
            Box::pin(async move {
                if has_tool {
                    say.tool_use("Bash", &json!({}));
                }
                say.exit(137, "").await;
            })
        })
        .await;
        let Err(RetryError::AgentEnded { verdict, .. }) = turn else {
            panic!("{turn:?}");
        };
        assert_eq!(verdict == RetryVerdict::Retry, may, "{verdict:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_after_an_overrun_is_not_repeated_because_nobody_saw_what_it_did() {
    for is_exit in [false, true] {
        let launcher = ScriptedLauncher::new().on_prompt(move |prompt, say| async move {
            match prompt.text().as_str() {
                "flood" => (0..100).for_each(|_| say.text("x".repeat(1000))),
                _ if is_exit => say.exit(137, "").await,
                _ => {
                    say.tool_use("Bash", &json!({}));
                    api_error(&say, 529);
                }
            }
        });
        let mut options = AgentOptions::default();
        options.limits.event_bytes_max = 10_000;
        let (agent, mut events) = Agent::start(&launcher, options).await.unwrap();
        agent.prompt(PromptContent::Text("flood".into())).await.unwrap();
        // Nobody reads until the turn is over.
        tokio::time::sleep(Duration::from_secs(1)).await;
        while !matches!(events.next().await.unwrap(), Event::Finished { .. }) {}
        assert!(events.has_overrun());
        let content = PromptContent::Text("go".into());
        match Retry::default().prompt(&agent, &mut events, content, |_| {}).await {
            Ok(turn) => assert_eq!((turn.attempts, turn.gave_up), (1, Some(GaveUp::NotRetryable))),
            Err(RetryError::AgentEnded { verdict, .. }) => {
                assert_eq!(verdict, RetryVerdict::Never(NoRetry::Uncertain));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_shared_and_stops_a_storm() {
    let retry = Retry::default().with_budget(Some(RetryBudget::new(0, 0, 1)));
    let error = start(&retry, &flaky(9, busy())).await.unwrap_err();
    assert!(matches!(error, RetryError::Failed { attempts: 2, why: GaveUp::Budget, .. }), "{error:?}");
    let error = start(&retry.clone(), &flaky(9, busy())).await.unwrap_err();
    assert!(matches!(error, RetryError::Failed { attempts: 1, why: GaveUp::Budget, .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_breaker_is_shared_and_lets_one_through_to_see() {
    let breaker = CircuitBreaker::new(2, Duration::from_secs(60), Duration::from_secs(60));
    let retry = Retry::default().with_breaker(Some(breaker.clone()));
    let error = start(&retry, &flaky(9, busy())).await.unwrap_err();
    assert!(matches!(error, RetryError::Failed { attempts: 2, why: GaveUp::Circuit, .. }), "{error:?}");
    let untouched = flaky(0, busy());
    let error = start(&retry.clone(), &untouched).await.unwrap_err();
    assert!(matches!(error, RetryError::CircuitOpen(_)), "{error:?}");
    assert!(untouched.inner.agents().is_empty(), "nothing was tried");
    tokio::time::sleep(Duration::from_secs(60)).await;
    start(&retry, &untouched).await.unwrap();
    assert_eq!(breaker.state(), BreakerState::Closed);
}
