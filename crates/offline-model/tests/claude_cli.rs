//! The real Claude Code CLI talks to the offline model: a text, a tool call and a last text.
#![expect(clippy::unwrap_used, reason = "helpers of a test may panic too")]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use offline_model::{Options, Server};
use serde_json::Value;

const PINNED: &str = "steward/claude-2.1.330/node_modules/@anthropic-ai/claude-code-linux-x64/claude";

#[expect(clippy::disallowed_methods, reason = "a test has no settings but its environment")]
fn claude() -> PathBuf {
    use std::env::var;
    let cached = || {
        let cache = var("XDG_CACHE_HOME").map(PathBuf::from);
        cache.unwrap_or_else(|_| PathBuf::from(var("HOME").unwrap()).join(".cache")).join(PINNED)
    };
    let path = var("CLAUDE_CLI_PATH").map_or_else(|_| cached(), PathBuf::from);
    assert!(
        path.is_file(),
        "no claude CLI at {}: set CLAUDE_CLI_PATH or run `cargo xtask test`",
        path.display()
    );
    path
}

#[expect(clippy::disallowed_methods, reason = "this crate knows no other that could start a process for it")]
fn ask(server_url: &str, prompt: &str) -> Vec<Value> {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(claude())
        .args([
            "-p",
            prompt,
            "--output-format",
            "stream-json",
            "--verbose",
            "--setting-sources=",
            "--model",
            "claude-sonnet-5",
        ])
        .current_dir(home.path())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", home.path())
        .env("CLAUDE_CONFIG_DIR", home.path().join("config"))
        .env("ANTHROPIC_BASE_URL", server_url)
        .env("ANTHROPIC_API_KEY", "key-of-the-test")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "claude failed: {stderr}\n{stdout}");
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cli_runs_a_script_from_its_prompt() {
    let server = Server::start(Options::default()).await.unwrap();
    let url = server.url();
    let prompt =
        r#"go [[text:on it]][[tool:Bash {"command":"echo from-the-tool"}]][[next]][[text:finished]]"#;
    let frames = tokio::task::spawn_blocking(move || ask(&url, prompt)).await.unwrap();

    let result = frames.last().unwrap();
    assert_eq!(
        (result["type"].as_str(), result["result"].as_str()),
        (Some("result"), Some("finished")),
        "{result}"
    );
    let all = serde_json::to_string(&frames).unwrap();
    assert!(all.contains("on it"), "the text before the tool call is missing");

    let requests = server.requests();
    assert!(requests.iter().all(|request| request.credential.as_deref() == Some("key-of-the-test")));
    let last = requests.iter().rfind(|request| request.path == "/v1/messages").unwrap();
    let last = String::from_utf8(last.body.to_vec()).unwrap();
    assert!(
        last.contains("tool_result") && last.contains("from-the-tool"),
        "the tool's output was not sent back"
    );
    server.shutdown().await;
}
