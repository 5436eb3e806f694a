//! Retries of the real CLI's turns: repeated when nothing happened, and not a step further.

use std::{fs, time::Duration};

use sdk_runtime::{
    Outcome, PromptContent,
    retry::{GaveUp, Retry},
};

use crate::bench::Bench;

fn quick() -> Retry {
    Retry::default().with_delay_min(Duration::from_millis(20))
}

#[tokio::test]
async fn a_turn_the_model_never_answered_is_repeated() {
    let bench = Bench::new().await;
    let (agent, mut events) = bench.start(bench.options()).await;
    // The CLI itself tries twice, so the first turn fails with both.
    let prompt = PromptContent::Text("go [[error:529 times=2]][[text:well]]".into());
    let turn = quick().prompt(&agent, &mut events, prompt, |_| {}).await.unwrap();
    assert_eq!((turn.attempts, turn.gave_up), (2, None));
    assert_eq!(turn.result.text.as_deref(), Some("well"));
    agent.close().await;
}

#[tokio::test]
async fn a_turn_in_which_a_tool_ran_is_not_repeated() {
    let bench = Bench::new().await;
    let options = bench.options().with_allowed_tools(vec!["Bash".to_owned()]);
    let (agent, mut events) = bench.start(options).await;
    let text = r#"go [[tool:Bash {"command":"echo once >> a.txt"}]][[next]][[error:529]]"#;
    let prompt = PromptContent::Text(text.into());
    let turn = quick().prompt(&agent, &mut events, prompt, |_| {}).await.unwrap();
    assert_eq!((turn.attempts, turn.gave_up), (1, Some(GaveUp::NotRetryable)));
    assert_eq!(turn.result.outcome(), Outcome::ApiError { status: Some(529) });
    assert_eq!(fs::read_to_string(bench.path("work/a.txt")).unwrap(), "once\n");
    agent.close().await;
}
