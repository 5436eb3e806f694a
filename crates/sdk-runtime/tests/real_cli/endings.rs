//! Endings: whatever way an agent goes, nothing it started is left.

use std::{path::Path, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sdk_runtime::{
    Agent, AgentOptions, Error, Event, Events, ProcessLauncher, PromptContent, memory_of_agents, sweep_host,
};
use tokio::process::Command;

use crate::bench::{self, Bench, marked, next, result_of, say, tool_pid, variable, wait_until};

/// A tool that would run for ever, with a child that gives up its environment.
const BLOCKING: &str = r#"go [[tool:Bash {"command":"env -i sh -c 'tail -f /dev/null' & tail -f /dev/null","timeout":600000}]][[next]][[text:done]]"#;

async fn blocked(bench: &Bench, options: AgentOptions) -> (Agent, Events, i32) {
    let options = options.with_allowed_tools(vec!["Bash".to_owned()]);
    let (agent, events) = bench.start(options).await;
    say(&agent, BLOCKING).await;
    let tool = tool_pid(bench).await;
    (agent, events, tool)
}

/// Pids of living processes in the session of a tool, whatever their environment.
fn in_session(session: i32) -> usize {
    let processes = procfs::process::all_processes().unwrap().flatten();
    let stats = processes.filter_map(|process| process.stat().ok());
    stats.filter(|stat| stat.session == session && stat.state != 'Z').count()
}

async fn exited(events: &mut Events) -> std::sync::Arc<sdk_runtime::Said> {
    loop {
        if let Event::Exited(said) = next(events).await {
            return said;
        }
    }
}

fn quick(bench: &Bench) -> AgentOptions {
    let mut options = bench.options();
    options.limits.close_grace = Duration::from_millis(300);
    options
}

#[tokio::test]
async fn an_agent_killed_in_a_tool_leaves_nothing() {
    let bench = Bench::new().await;
    let (agent, mut events, tool) = blocked(&bench, bench.options()).await;
    let pid = i32::try_from(agent.pid().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let said = exited(&mut events).await;
    assert_eq!(said.exit.signal, Some(9));
    assert!(said.exit.swept >= 1, "{said:?}");
    assert_eq!(said.open_prompts.len(), 1);
    assert!(marked(&bench.host_marker).is_empty());
    wait_until(|| in_session(tool) == 0).await;
}

#[tokio::test]
async fn closing_in_a_tool_leaves_nothing() {
    let bench = Bench::new().await;
    let (agent, mut events, tool) = blocked(&bench, quick(&bench)).await;
    let (one, other) = tokio::join!(agent.close(), agent.close());
    assert_eq!(one, other);
    assert_eq!(one.code, Some(143), "SIGTERM was enough: {one:?}");
    assert_eq!(exited(&mut events).await.exit, one);
    assert!(marked(&bench.host_marker).is_empty());
    assert_eq!(in_session(tool), 0);
    assert_eq!(agent.close().await, one);
}

#[tokio::test]
async fn killing_in_a_tool_leaves_nothing() {
    let bench = Bench::new().await;
    let (agent, _events, tool) = blocked(&bench, bench.options()).await;
    let exit = agent.kill().await;
    assert_eq!(exit.signal, Some(9));
    assert!(marked(&bench.host_marker).is_empty());
    assert_eq!(in_session(tool), 0);
}

#[tokio::test]
async fn dropping_the_handle_in_a_tool_leaves_nothing() {
    let bench = Bench::new().await;
    let (agent, events, tool) = blocked(&bench, bench.options()).await;
    let clone = agent.clone();
    drop((agent, events));
    assert_eq!(in_session(tool).min(1), 1, "a clone still holds it");
    drop(clone);
    bench.assert_nothing_left().await;
    wait_until(|| in_session(tool) == 0).await;
}

#[test]
fn a_runtime_that_goes_down_takes_its_agents_along() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (bench, _agent, _events, tool) = runtime.block_on(async {
        let bench = Bench::new().await;
        let (agent, events, tool) = blocked(&bench, bench.options()).await;
        (bench, agent, events, tool)
    });
    drop(runtime);
    assert!(marked(&bench.host_marker).is_empty());
    assert_eq!(in_session(tool), 0);
}

/// Set for the process that plays the host in the next test.
const HOST_FOLDER: &str = "TEST_HOST_FOLDER";

#[tokio::test]
async fn a_host_that_is_killed_takes_its_agents_along() {
    if let Some(folder) = variable(HOST_FOLDER) {
        return play_host(folder.as_ref()).await;
    }
    let bench = Bench::new().await;
    #[expect(
        clippy::disallowed_methods,
        reason = "the host to be killed is this test in a process of its own"
    )]
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "endings::a_host_that_is_killed_takes_its_agents_along"])
        .env(HOST_FOLDER, bench.folder.path())
        .env("TEST_HOST_URL", bench.model.url())
        .env("TEST_HOST_MARKER", &bench.host_marker)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let tool = tool_pid(&bench).await;
    host.kill().await.unwrap();
    // No sweep: the kernel tells the agent, and the agent ends its tools.
    bench.assert_nothing_left().await;
    wait_until(|| in_session(tool) == 0).await;
}

async fn play_host(folder: &Path) {
    let url = variable("TEST_HOST_URL").unwrap();
    let marker = variable("TEST_HOST_MARKER").unwrap();
    let options = bench::options(folder, &url, &marker).with_allowed_tools(vec!["Bash".to_owned()]);
    let (agent, _events) = Agent::start(&ProcessLauncher, options).await.unwrap();
    say(&agent, BLOCKING).await;
    std::future::pending().await
}

#[tokio::test]
async fn an_agent_outlives_the_thread_that_asked_for_it() {
    let bench = Bench::new().await;
    let (runtime, options) = (tokio::runtime::Handle::current(), bench.options());
    let asking = tokio::task::spawn_blocking(move || {
        let start = move || runtime.block_on(Agent::start(&ProcessLauncher, options));
        std::thread::spawn(start).join().unwrap().unwrap()
    });
    let (agent, mut events) = asking.await.unwrap();
    let id = say(&agent, "go [[text:still here]]").await;
    let result = result_of(&mut events, id).await;
    assert_eq!(result.text.as_deref(), Some("still here"));
    agent.close().await;
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing() {
    let bench = Bench::new().await;
    let started =
        tokio::time::timeout(Duration::from_millis(50), Agent::start(&ProcessLauncher, bench.options()));
    assert!(started.await.is_err(), "nothing starts that fast");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_deaf_agent_is_killed_in_the_end() {
    let bench = Bench::new().await;
    let mut options = quick(&bench);
    options.limits.term_grace = Duration::from_millis(200);
    let (agent, mut events) = bench.start(options).await;
    let pid = i32::try_from(agent.pid().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    // More than the pipe holds, so that the line is stuck half written.
    let long = PromptContent::Text("x".repeat(1 << 20));
    let (stuck, exit) = tokio::join!(agent.prompt(long), agent.close());
    assert!(matches!(stuck, Err(Error::Exited { .. })), "{stuck:?}");
    assert_eq!(exit.signal, Some(9));
    exited(&mut events).await;
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn closing_lets_a_running_turn_finish() {
    let bench = Bench::new().await;
    let (agent, mut events) = bench.start(bench.options()).await;
    let id = say(&agent, "go [[delay:500]][[text:in time]]").await;
    let (exit, result) = tokio::join!(agent.close(), result_of(&mut events, id));
    assert_eq!(result.text.as_deref(), Some("in time"));
    assert_eq!(exit.code, Some(0));
}

#[tokio::test]
async fn a_host_sweeps_what_its_earlier_life_left() {
    let marker = format!("test-{}", uuid::Uuid::new_v4());
    #[expect(clippy::disallowed_methods, reason = "a process of an earlier life has to come from somewhere")]
    let mut shell = Command::new("sh")
        .args(["-c", "setsid tail -f /dev/null & env -i tail -f /dev/null & wait"])
        .env("SDK_RUNTIME_HOST", &marker)
        .spawn()
        .unwrap();
    wait_until(|| marked(&marker).len() == 2).await;
    let swept = sweep_host(&marker).unwrap();
    assert_eq!(swept, 3, "the shell, its child in another session, and the one without environment");
    assert!(marked(&marker).is_empty());
    assert_eq!(sweep_host(&marker).unwrap(), 0);
    shell.wait().await.unwrap();
}

#[tokio::test]
async fn memory_is_told_by_agent_with_all_that_it_started() {
    let marker = format!("test-{}", uuid::Uuid::new_v4());
    let start = |agent: &str, script: &str| {
        #[expect(clippy::disallowed_methods, reason = "the agents of this test are any processes")]
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("SDK_RUNTIME_HOST", &marker).env("SDK_RUNTIME_AGENT", agent);
        command.spawn().unwrap()
    };
    let mut small = start("small", "sleep 1000 & wait");
    // A child that has lost its environment belongs to it all the same.
    // It has its memory as long as its input is open.
    let much = "env -i sh -c 'head -c 50000000 /dev/zero; exec sleep 1000' | env -i tail -c 50000001";
    let mut large = start("large", &format!("{much} & sleep 1000"));
    let measured = || memory_of_agents(&marker).unwrap();
    wait_until(|| measured().iter().max().is_some_and(|largest| *largest > 20_000_000)).await;
    let found = measured();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().min().is_some_and(|smallest| (1..20_000_000).contains(smallest)), "{found:?}");
    assert_eq!(memory_of_agents("nobody's mark").unwrap(), Vec::<u64>::new());
    sweep_host(&marker).unwrap();
    small.wait().await.unwrap();
    large.wait().await.unwrap();
}
