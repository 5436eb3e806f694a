//! The examples as a user would run them: the built programs, the real CLI, the offline model.
//!
//! Cargo builds examples together with tests, and not when a single test target is named: `cargo test -p
//! sdk-runtime --test examples` runs those of the last build, or fails for want of them.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to fail")]

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use procfs::process::all_processes;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

/// Generous, because the machine may be busy; nothing takes this long when it works.
const PATIENCE: Duration = Duration::from_secs(90);

/// An offline model, and a folder that is the whole world of the programs that are run in it.
struct Stage {
    model: offline_model::Server,
    folder: TempDir,
}

/// What a program did.
struct Done {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

impl Stage {
    async fn new() -> Self {
        // A short path, because the CLI puts a Unix socket below TMPDIR.
        let folder = tempfile::Builder::new().prefix("x").tempdir_in("/tmp").unwrap();
        for name in ["home", "config", "t", "work", "bin"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        // The examples find the CLI by its name.
        symlink(cli(), folder.path().join("bin/claude")).unwrap();
        Self { model: offline_model::Server::start(offline_model::Options::default()).await.unwrap(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "what is tested here are whole programs")]
    fn start(&self, example: &str, args: &[&str]) -> Child {
        let program = example_path(example);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.path("bin").display());
        Command::new(program)
            .args(args)
            .current_dir(self.path("work"))
            .env_clear()
            // Where `cargo xtask coverage` counts the lines that programs reach.
            .envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)))
            .envs([
                ("PATH", path.as_str()),
                ("LANG", "C.UTF-8"),
                ("ANTHROPIC_BASE_URL", self.model.url().as_str()),
                ("ANTHROPIC_API_KEY", "test"),
                ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
                ("CLAUDE_CODE_MAX_RETRIES", "1"),
                ("DISABLE_AUTOUPDATER", "1"),
                ("DISABLE_TELEMETRY", "1"),
                ("DISABLE_ERROR_REPORTING", "1"),
            ])
            .envs([
                ("HOME", self.path("home")),
                ("CLAUDE_CONFIG_DIR", self.path("config")),
                ("TMPDIR", self.path("t")),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Runs an example to its end.
    async fn run(&self, example: &str, args: &[&str], stdin: &str) -> Done {
        let mut child = self.start(example, args);
        let mut input = child.stdin.take().unwrap();
        input.write_all(stdin.as_bytes()).await.unwrap();
        drop(input);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        self.assert_nothing_left();
        Done::of(&output)
    }

    /// Everything the model was sent, as one text.
    fn asked(&self) -> String {
        let bodies = self.model.requests().into_iter().filter_map(|request| request.json());
        bodies.map(|body| body.to_string()).collect()
    }

    /// No process of this stage lives on: each has its folder in the environment.
    fn assert_nothing_left(&self) {
        let folder = self.folder.path().to_string_lossy().into_owned();
        let of_stage = all_processes().unwrap().flatten().filter(|process| {
            let home = process.environ().ok().and_then(|mut environ| environ.remove(OsStr::new("HOME")));
            home.is_some_and(|home| home.to_string_lossy().starts_with(&folder))
        });
        let left: Vec<_> = of_stage.map(|process| process.cmdline()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Done {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { stdout: text(&output.stdout), stderr: text(&output.stderr), code: output.status.code() }
    }

    /// Fails unless the program succeeded and printed all of this, in this order.
    #[track_caller]
    fn assert_printed(&self, wanted: &[&str]) {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        let mut rest = self.stdout.as_str();
        for wanted in wanted {
            let at = rest.find(wanted);
            assert!(
                at.is_some(),
                "{wanted:?} is missing or out of order in:\n{}\n{}",
                self.stdout,
                self.stderr
            );
            rest = &rest[at.unwrap_or_default() + wanted.len()..];
        }
    }
}

/// Examples are built beside the tests: `target/<profile>/examples`.
fn example_path(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(
        path.exists(),
        "{} is not built: `cargo build -p sdk-runtime --examples --all-features`",
        path.display()
    );
    path
}

/// The pinned CLI, or a failure that says how to get it.
#[expect(clippy::disallowed_methods, reason = "a test finds the CLI by its environment")]
fn cli() -> PathBuf {
    let pinned = "steward/claude-2.1.330/node_modules/@anthropic-ai/claude-code-linux-x64/claude";
    let variable = |name: &str| env::var(name).ok().map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let path = variable("CLAUDE_CLI_PATH").unwrap_or_else(|| cache.unwrap_or_default().join(pinned));
    assert!(
        path.exists(),
        "no agent CLI at {}: run `cargo xtask test`, or set CLAUDE_CLI_PATH",
        path.display()
    );
    path
}

#[tokio::test]
async fn hello_prints_the_answer() {
    let stage = Stage::new().await;
    let prompt = "salute the reader [[text:hello, reader]]";
    stage.run("hello", &[prompt], "").await.assert_printed(&[
        "hello, reader",
        "Completed in",
        "tokens written",
    ]);
    assert!(stage.asked().contains("salute the reader"));
}

#[tokio::test]
async fn interactive_chat_answers_line_by_line_and_survives_a_failed_turn() {
    let stage = Stage::new().await;
    let typed = "one [[text:first answer]]\n\ntwo [[error:400]]\n/model haiku\nthree [[recall]]\n/quit\ntoo late zyzzyva\n";
    let done = stage.run("interactive_chat", &[], typed).await;
    let wanted =
        ["Claude Code", "first answer", "[ApiError", "the next answer comes from haiku", "one", "bye"];
    done.assert_printed(&wanted);
    assert!(!stage.asked().contains("zyzzyva"), "the chat was over");
    let models = stage.model.requests().into_iter().filter_map(|request| request.json());
    let models: Vec<_> = models.map(|body| body["model"].as_str().unwrap_or_default().to_owned()).collect();
    assert!(models.last().is_some_and(|model| model.contains("haiku")), "{models:?}");
}

#[tokio::test]
async fn custom_permissions_decides_and_keeps_a_log() {
    let stage = Stage::new().await;
    let prompt = format!(
        r#"go [[tool:Bash {{"command":"touch a.txt"}}]][[next]][[tool:Bash {{"command":"mkdir forbidden"}}]][[next]][[tool:Write {{"file_path":"{0}/b.txt","content":"b"}}]][[next]][[tool:Write {{"file_path":"{0}/../c.txt","content":"c"}}]][[next]][[text:all tried]]"#,
        stage.path("work").display()
    );
    let done = stage.run("custom_permissions", &[&prompt, "log.jsonl"], "").await;
    done.assert_printed(&["Completed: all tried", "denied: Bash", r#""verdict":"allow""#]);
    let work = |name: &str| stage.path("work").join(name).exists();
    assert_eq!(["a.txt", "forbidden", "b.txt", "../c.txt"].map(work), [true, false, true, false]);
    let log = fs::read_to_string(stage.path("work/log.jsonl")).unwrap();
    let log: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdicts: Vec<_> = log.iter().map(|line| (&line["tool"], &line["verdict"])).collect();
    let wanted = [("Bash", "allow"), ("Bash", "deny"), ("Write", "allow"), ("Write", "deny")];
    assert_eq!(verdicts.len(), wanted.len(), "{log:#?}");
    assert!(
        verdicts
            .iter()
            .zip(wanted)
            .all(|((tool, verdict), wanted)| (*tool, *verdict) == (&wanted.0.into(), &wanted.1.into()))
    );
    assert!(stage.asked().contains("is not on the list"), "the model reads why");
}

#[tokio::test]
async fn all_hooks_decide_and_count() {
    let stage = Stage::new().await;
    let prompt = r#"go [[tool:Bash {"command":"echo token=hush"}]][[next]][[tool:Bash {"command":"rm -f x"}]][[next]][[text:done]][[next]][[text:Done.]]"#;
    let done = stage.run("all_hooks", &[prompt], "").await;
    done.assert_printed(&[
        "UserPromptSubmit:",
        "PreToolUse: echo token=hush",
        "PostToolUse: a token is taken out",
        "PreToolUse: rm -f x",
        "Stop: done",
        "Completed: ",
        "× PostToolUse",
        "2 × PreToolUse",
        "× UserPromptSubmit",
    ]);
    let asked = stage.asked();
    for wanted in
        ["The user likes short answers.", "[a token was here]", "nothing is removed here", "full stop"]
    {
        assert!(asked.contains(wanted), "the model was not told {wanted:?}");
    }
}

#[tokio::test]
async fn in_process_mcp_serves_the_model() {
    let stage = Stage::new().await;
    let prompt = r#"go [[tool!:mcp__calc__divide {"a":6,"b":4}]][[next]][[tool!:mcp__calc__divide {"a":6,"b":0}]][[next]][[tool!:mcp__calc__countdown {"from":3}]][[next]][[text:counted]]"#;
    let done = stage.run("in_process_mcp", &[prompt], "").await;
    done.assert_printed(&[
        r#"without an agent: {"quotient":0.125}"#,
        "calls mcp__calc__divide",
        r#"is told {"quotient":1.5}"#,
        "b must not be zero",
        "lift-off",
        "Completed: counted",
    ]);
    assert!(stage.asked().contains("b must not be zero"), "the model reads what went wrong");
}

#[tokio::test]
async fn external_mcp_starts_its_server_and_tells_of_a_missing_one() {
    let stage = Stage::new().await;
    let prompt = r#"go [[tool!:mcp__greeter__greet {"name":"Ferris"}]][[next]][[text:greeted]]"#;
    let done = stage.run("external_mcp", &[prompt], "").await;
    done.assert_printed(&["Completed: greeted", "greeter is connected: 1 tool(s)"]);
    assert!(done.stdout.contains("missing is failed"), "{}", done.stdout);
    assert!(stage.asked().contains("Good day, Ferris!"));
}

#[tokio::test]
async fn advanced_streaming_pairs_every_prompt_with_its_answer() {
    let stage = Stage::new().await;
    let first =
        r#"a [[think:let me see]][[tool:Bash {"command":"echo streamed"}]][[next]][[text:the first]]"#;
    let done = stage.run("advanced_streaming", &[first, "--limit", "2000"], "").await;
    done.assert_printed(&[
        "#0 started",
        r#"#0 calls Bash with {"command":"echo streamed"}"#,
        "#0 Completed after",
        "the first",
        "#0 thought: let me see",
    ]);
    let done = stage
        .run("advanced_streaming", &["b [[endless]]", "c [[text:the second]]", "--limit", "200"], "")
        .await;
    done.assert_printed(&["#0 has said enough", "#0 Interrupted after", "#1 Completed after", "the second"]);
}

#[tokio::test]
async fn production_retries_reports_and_ends_on_a_signal() {
    let stage = Stage::new().await;
    // The CLI itself tries twice, so the first attempt fails with both.
    let jobs = "one [[error:529 times=2]][[text:served after all]]\ntwo [[text:served at once]]\n";
    let done = stage.run("production", &[], jobs).await;
    done.assert_printed(&["served after all", "served at once"]);
    for wanted in ["attempts=2", "attempts=1", "the agent is closed"] {
        assert!(done.stderr.contains(wanted), "{wanted:?} is missing in:\n{}", done.stderr);
    }
    let failed = stage.run("production", &[], "three [[error:400]]\n").await;
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);

    // Told to stop between jobs, it closes its agent and is done.
    let mut child = stage.start("production", &[]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"four [[text:served before the signal]]\n").await.unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(line.as_deref(), Some("served before the signal"));
    let pid = nix::unistd::Pid::from_raw(child.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let done = Done::of(&output);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("the agent is closed"), "{}", done.stderr);
    stage.assert_nothing_left();
    drop(input);
}
