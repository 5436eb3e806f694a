//! Waits of any length: a host that never wants to stop waiting says so, and nothing breaks of it.

use std::{sync::Arc, time::Duration};

use sdk_runtime::{
    Agent, AgentOptions, Error, HookOutput, HookRegistration, Limits, SparePool, SpareSettings, query_with,
    retry::CircuitBreaker, testing::ScriptedLauncher,
};

const EVER: Duration = Duration::MAX;

fn endless() -> AgentOptions {
    let mut limits = Limits::default();
    for wait in [
        &mut limits.initialize_timeout,
        &mut limits.control_timeout,
        &mut limits.mcp_manifest_timeout,
        &mut limits.background_wait,
        &mut limits.close_grace,
        &mut limits.term_grace,
        &mut limits.sweep_timeout,
        &mut limits.drain_timeout,
    ] {
        *wait = EVER;
    }
    limits.gate_timeout = Some(EVER);
    AgentOptions::default().with_cwd("/srv/demo").with_limits(limits)
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_any_bound_lives_and_ends_like_others() {
    let launcher = ScriptedLauncher::new();
    let (agent, _events) = Agent::start(&launcher, endless()).await.unwrap();
    agent.prompt("x").await.unwrap();
    assert_eq!(agent.close().await.code, Some(0));
    let error = agent.prompt("x").await.unwrap_err();
    assert!(matches!(error, Error::Exited { .. }), "{error:?}");
    let text = query_with(Arc::new(launcher), "x", endless()).text().await.unwrap();
    assert_eq!(text, "done");
}

#[tokio::test(start_paused = true)]
async fn a_hook_without_a_bound_does_not_make_the_clock_of_the_agent_go_off() {
    let launcher = ScriptedLauncher::new();
    let hook = HookRegistration::raw("PreToolUse", |_| async { Ok(HookOutput::proceed()) });
    let options = endless().with_hook(hook.with_timeout(EVER));
    let (_agent, _events) = Agent::start(&launcher, options).await.unwrap();
    let initialize = launcher.last_agent().controls("initialize").pop().unwrap();
    let seconds = initialize["hooks"]["PreToolUse"][0]["timeout"].as_u64().unwrap();
    assert!(seconds * 1000 <= i32::MAX as u64, "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn spares_that_never_age_and_a_breaker_that_never_closes() {
    let parking = tempfile::tempdir().unwrap();
    let settings = SpareSettings::new(parking.path())
        .with_age_max(EVER)
        .with_claim_timeout(EVER)
        .with_retry_delay(EVER)
        .with_retry_delay_max(EVER);
    let pool = SparePool::new(Arc::new(ScriptedLauncher::new()), settings);
    assert!(pool.prepare(&endless()));
    pool.ready(2).await;
    pool.claim(endless()).await.unwrap();
    pool.shutdown().await;

    let breaker = CircuitBreaker::new(1, EVER, EVER);
    breaker.begin().unwrap().failed();
    assert!(breaker.begin().unwrap_err().retry_in > Duration::from_secs(3600));
}
