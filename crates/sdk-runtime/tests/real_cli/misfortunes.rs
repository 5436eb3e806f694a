//! Misfortunes around processes: CLIs that are no good, made of shell scripts, and a directory that goes.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use sdk_runtime::{Agent, AgentOptions, Error, Event, Events, PromptContent, SkipReason};
use serde_json::json;

use crate::bench::{Bench, next, result_of, say, start_error, tool_results};

/// Answers `initialize` as a CLI would.
const ANSWER: &str = r#"read line
echo '{"type":"control_response","response":{"subtype":"success","request_id":"req_1","response":{"claude_code_version":"9.9.9"}}}'
"#;

fn file(bench: &Bench, content: &str, mode: u32) -> PathBuf {
    let path = bench.path("cli");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// An agent whose CLI is this shell script, with short graces.
fn scripted(bench: &Bench, script: &str) -> AgentOptions {
    let mut options = bench.options().with_cli(file(bench, &format!("#!/bin/sh\n{script}"), 0o755));
    options.limits.close_grace = Duration::from_millis(100);
    options.limits.term_grace = Duration::from_millis(500);
    options.limits.initialize_timeout = Duration::from_secs(30);
    options
}

async fn rest(events: &mut Events) -> (Vec<Event>, std::sync::Arc<sdk_runtime::Said>) {
    let mut before = Vec::new();
    loop {
        match next(events).await {
            Event::Exited(said) => return (before, said),
            event => before.push(event),
        }
    }
}

#[tokio::test]
async fn a_cli_that_cannot_be_run_is_told_apart_from_one_that_is_missing() {
    let bench = Bench::new().await;
    let folder = bench.path("home");
    for (cli, words) in
        [(folder, "it is a directory"), (file(&bench, "#!/bin/sh\n", 0o644), "may not be executed")]
    {
        let error = start_error(bench.options().with_cli(cli)).await;
        assert!(matches!(error, Error::CliNotExecutable { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = start_error(bench.options().with_cli(file(&bench, "#!/nowhere/sh\n", 0o755))).await;
    assert!(matches!(error, Error::CliNotExecutable { .. }), "{error:?}");
    assert!(error.to_string().contains("interpreter"), "{error}");
    // What is no program at all is given to the shell by the C library, and the shell says so.
    let error = start_error(bench.options().with_cli(file(&bench, "\u{1}garbage", 0o755))).await;
    assert!(matches!(&error, Error::Startup { said } if said.exit.code == Some(127)), "{error:?}");
    assert!(error.to_string().contains("not found"), "{error}");
    let error = start_error(bench.options().with_cli("no-such-program")).await;
    assert!(matches!(error, Error::CliNotFound { .. }), "{error:?}");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_cli_that_never_answers_or_goes_instead_says_what_it_said() {
    let bench = Bench::new().await;
    let mut options = scripted(&bench, "echo 'waiting for the network' >&2\nexec tail -f /dev/null\n");
    options.limits.initialize_timeout = Duration::from_millis(500);
    let error = start_error(options).await;
    assert!(matches!(error, Error::HandshakeTimeout { .. }), "{error:?}");
    assert!(error.to_string().contains("waiting for the network") && error.is_retryable(), "{error}");

    let error = start_error(scripted(&bench, "read line\necho 'no licence' >&2\nexit 3\n")).await;
    assert!(matches!(&error, Error::Startup { said } if said.exit.code == Some(3)), "{error:?}");
    assert!(error.to_string().contains("no licence") && !error.is_retryable(), "{error}");

    let error = start_error(scripted(&bench, "read line\nkill -9 $$\n")).await;
    assert!(matches!(&error, Error::Startup { said } if said.exit.signal == Some(9)), "{error:?}");
    assert!(error.is_retryable(), "{error}");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_second_answer_and_one_to_nothing_are_passed_over() {
    let bench = Bench::new().await;
    let answer = |id: &str, payload: &str| {
        format!(
            "echo '{{\"type\":\"control_response\",\"response\":{{\"subtype\":\"success\",\
             \"request_id\":\"{id}\",\"response\":{{\"n\":{payload}}}}}}}'\n"
        )
    };
    let script = [
        ANSWER,
        &answer("req_1", "0"),
        &answer("nobody", "0"),
        "read line\n",
        &answer("req_2", "1"),
        &answer("req_2", "2"),
        "read line\n",
        &answer("req_3", "3"),
        "read line\n",
    ]
    .concat();
    let (agent, _events) = bench.start(scripted(&bench, &script)).await;
    assert_eq!(agent.control("first", json!({})).await.unwrap()["n"], 1);
    assert_eq!(agent.control("second", json!({})).await.unwrap()["n"], 3);
    agent.close().await;
}

#[tokio::test]
async fn a_flood_on_stderr_neither_blocks_nor_fills_the_memory() {
    let bench = Bench::new().await;
    let flood = "head -c 100000000 /dev/zero | tr '\\0' x >&2\necho 'the end' >&2\n";
    let (agent, _events) = bench.start(scripted(&bench, &format!("{flood}{ANSWER}read line\n"))).await;
    let exit = agent.close().await;
    assert!(exit.stderr_tail.ends_with("the end\n"), "{}", exit.stderr_tail.len());
    assert!(exit.stderr_tail.len() <= 64 << 10, "{}", exit.stderr_tail.len());
}

#[tokio::test]
async fn an_agent_that_closes_its_stdout_and_lives_on_is_ended() {
    let bench = Bench::new().await;
    let script = format!("{ANSWER}echo 'closing' >&2\nexec sleep 1000 >&-\n");
    let (agent, mut events) = bench.start(scripted(&bench, &script)).await;
    let (_, said) = rest(&mut events).await;
    assert_eq!(said.exit.signal, Some(15), "{said:?}");
    let error = agent.prompt(PromptContent::Text("x".into())).await.unwrap_err();
    assert!(matches!(error, Error::Exited { .. }) && error.to_string().contains("closing"), "{error}");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn an_agent_that_closes_its_stdin_and_lives_on_is_ended() {
    let bench = Bench::new().await;
    let script = format!("{ANSWER}exec sleep 1000 <&-\n");
    let (agent, mut events) = bench.start(scripted(&bench, &script)).await;
    let error = unreachable(&agent).await;
    assert!(matches!(error, Error::Exited { .. }), "{error:?}");
    let (_, said) = rest(&mut events).await;
    assert_eq!(said.exit.signal, Some(15), "{said:?}");
    bench.assert_nothing_left().await;
}

/// Prompts until the closed pipe is noticed: a line may lie in it that nobody will read.
async fn unreachable(agent: &Agent) -> Error {
    loop {
        if let Err(error) = agent.prompt(PromptContent::Text("x".into())).await {
            return error;
        }
    }
}

#[tokio::test]
async fn a_torn_last_line_is_reported_and_what_came_before_it_is_kept() {
    let bench = Bench::new().await;
    let script = format!("{ANSWER}echo '{{\"type\":\"new_kind\"}}'\nprintf '{{\"type\":\"resu'\nexit 0\n");
    let (_agent, mut events) = bench.start(scripted(&bench, &script)).await;
    let (before, said) = rest(&mut events).await;
    assert!(matches!(&before[..], [Event::Frame(_), Event::Skipped { reason: SkipReason::InvalidJson, .. }]));
    assert_eq!(said.exit.code, Some(0));
}

#[tokio::test]
async fn a_working_directory_that_goes_while_the_agent_works_fails_its_tools_only() {
    let bench = Bench::new().await;
    let options = bench.options().with_allowed_tools(vec!["Bash".to_owned()]);
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, "go [[text:here]]").await;
    result_of(&mut events, id).await;
    fs::remove_dir_all(bench.path("work")).unwrap();
    let id = say(&agent, r#"go [[tool:Bash {"command":"pwd"}]][[next]][[text:still here]]"#).await;
    let told = tool_results(&mut events, id).await;
    assert!(told.concat().contains("no longer exists") || told.concat().contains("ENOENT"), "{told:?}");
    let id = say(&agent, "go [[text:and here]]").await;
    assert_eq!(result_of(&mut events, id).await.text.as_deref(), Some("and here"));
    agent.close().await;

    let error = start_error(bench.options()).await;
    assert!(matches!(&error, Error::CwdNotFound { path } if *path == bench.path("work")), "{error:?}");
    bench.assert_nothing_left().await;
}
