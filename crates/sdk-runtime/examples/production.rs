//! A worker as it would run in earnest: `cargo run --example production < prompts.txt`
//!
//! Each line of the input is a job. The agent has a budget and bounds, failures that pass are tried again and
//! nothing that had effects is, everything is traced, and SIGTERM or Ctrl-C ends it in good order. Exit code:
//! 0 when every job succeeded, 1 when one failed, 2 when there was no agent to be had.

#![expect(clippy::print_stdout, reason = "an example speaks to a terminal")]

use std::{env, process::ExitCode, time::Duration};

use sdk_runtime::{
    Agent, AgentOptions, Containment, EnvMode, Error, Events, Outcome, ProcessLauncher, ProcessLimits,
    PromptContent,
    doctor::{DoctorOptions, doctor},
    find_cli,
    retry::{CircuitBreaker, Retry, RetryBudget, RetryError, Turn},
    sweep_host,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    signal::unix::{SignalKind, signal},
};
use tracing::{error, info, warn};

/// Marks every process of this host, so that its next life finds what a power cut left behind.
const HOST: &str = "sdk-runtime-example-production";

fn options() -> Result<AgentOptions, Box<dyn std::error::Error>> {
    let bounds = ProcessLimits::default()
        .with_memory_bytes_max(4 << 30)
        .with_processes_max(200)
        .with_open_files_max(4096);
    let mut options = AgentOptions::default()
        .with_cli(find_cli(None)?)
        .with_cwd(env::current_dir()?)
        .with_inherit_env(EnvMode::Merge)
        .with_host_marker(HOST.to_owned())
        .with_client_app("sdk-runtime-example/1.0".to_owned())
        .with_model("sonnet".to_owned())
        .with_fallback_models(vec!["haiku".to_owned()])
        .with_max_turns(20)
        .with_max_budget_usd(1.0)
        // What is not allowed here is denied: there is no gate, so nobody is there to be asked.
        .with_allowed_tools(vec!["Read".to_owned(), "Grep".to_owned(), "Glob".to_owned()])
        .with_containment(Containment::default().with_limits(bounds));
    options.limits.close_grace = Duration::from_secs(10);
    Ok(options)
}

/// One job. What the model wrote goes to stdout, everything else to the log.
async fn work(retry: &Retry, agent: &Agent, events: &mut Events, job: &str) -> Result<bool, RetryError> {
    let prompt = PromptContent::Text(job.to_owned());
    let Turn { result, attempts, gave_up, .. } = retry.prompt(agent, events, prompt, |_| {}).await?;
    let cost: f64 = result.model_usage_since_last().values().filter_map(|model| model.cost_usd).sum();
    let outcome = result.outcome();
    info!(?outcome, attempts, cost, ms = result.duration_ms, "a job is done");
    match outcome {
        Outcome::Completed => println!("{}", result.text.unwrap_or_default()),
        Outcome::BudgetExhausted => error!("the budget is used up; every further job will fail like this"),
        _ => warn!(?gave_up, words = result.words(), "a job failed"),
    }
    Ok(outcome == Outcome::Completed)
}

async fn run() -> Result<bool, Box<dyn std::error::Error>> {
    let swept = sweep_host(HOST)?;
    if swept > 0 {
        warn!(swept, "an earlier life was cut short");
    }
    // Shared by all agents of a host: retries stay a fraction of the work, and an outage is not stormed.
    let retry = Retry::default()
        .with_delay_min(Duration::from_millis(200))
        .with_budget(Some(RetryBudget::default()))
        .with_breaker(Some(CircuitBreaker::default()));
    let options = options()?;
    let (agent, mut events) = match retry.start(&ProcessLauncher, &options).await {
        Ok(started) => started,
        Err(error) => {
            // What is wrong with the installation, and what to do about it.
            error!("{}", doctor(&DoctorOptions::new(options)).await);
            return Err(error.into());
        }
    };
    info!(pid = agent.pid(), version = %agent.initialized().version, "an agent is there");

    let mut stop = signal(SignalKind::terminate())?;
    let mut jobs = BufReader::new(tokio::io::stdin()).lines();
    let mut is_good = true;
    loop {
        // No job is begun once it is time to go; `next_line` is cancel safe.
        let job = tokio::select! {
            biased;
            _ = stop.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
            line = jobs.next_line() => line?,
        };
        let Some(job) = job else { break };
        // The signal waits for the job that is running at most as long as it takes to close the agent.
        let done = tokio::select! {
            done = work(&retry, &agent, &mut events, &job) => done,
            _ = stop.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
        };
        match done {
            Ok(good) => is_good &= good,
            // The agent is gone. The verdict in the error says whether the job may go to another one.
            Err(RetryError::AgentEnded { said, verdict }) => {
                error!(?verdict, "the agent ended: {}", said.words());
                return Err(Error::Exited { said }.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    // A turn that still runs may finish within `close_grace`; then nothing of the agent is left.
    let exit = agent.close().await;
    info!(%exit, swept = exit.swept, "the agent is closed");
    Ok(is_good)
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let Ok(runtime) = tokio::runtime::Runtime::new() else {
        return ExitCode::from(2);
    };
    let code = match runtime.block_on(run()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            error!(error, "no agent, no work");
            ExitCode::from(2)
        }
    };
    // A thread of tokio may still wait for a line of stdin, which would hold up the end for ever.
    runtime.shutdown_background();
    code
}
