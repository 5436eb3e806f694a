//! The bench: a real CLI, hermetic, in front of the offline model.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use procfs::process::{ProcState, Process, all_processes};
use sdk_runtime::{
    Agent, AgentOptions, Containment, Error, Event, Events, ProcessLauncher, PromptContent, RunAs,
    SessionStart, SystemPrompt, TurnResult,
};
use tempfile::TempDir;
use uuid::Uuid;

/// Generous, because the machine may be busy; nothing waits this long when it works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Everything one test needs, gone with it.
pub(crate) struct Bench {
    pub(crate) model: offline_model::Server,
    pub(crate) folder: TempDir,
    pub(crate) host_marker: String,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        // A short path, because the CLI puts a Unix socket below TMPDIR.
        let folder = tempfile::Builder::new().prefix("s").tempdir_in("/tmp").unwrap();
        for name in ["home", "config", "t", "work"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let options = offline_model::Options::default();
        Self {
            model: offline_model::Server::start(options).await.unwrap(),
            folder,
            host_marker: format!("test-{}", Uuid::new_v4()),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn options(&self) -> AgentOptions {
        options(self.folder.path(), &self.model.url(), &self.host_marker)
    }

    pub(crate) async fn start(&self, options: AgentOptions) -> (Agent, Events) {
        Agent::start(&ProcessLauncher, options).await.unwrap()
    }

    /// Makes the folders this user's, and answers with options that name a CLI the user can reach.
    pub(crate) fn options_for(&self, user: RunAs) -> AgentOptions {
        let cli = self.path("claude");
        if fs::hard_link(self::cli(), &cli).is_err() {
            fs::copy(self::cli(), &cli).unwrap();
        }
        for name in ["", "home", "config", "t", "work"] {
            std::os::unix::fs::chown(self.path(name), Some(user.uid), Some(user.gid)).unwrap();
        }
        self.options().with_cli(cli).with_containment(Containment::default().with_user(Some(user)))
    }

    /// Waits until no process of this bench is left.
    pub(crate) async fn assert_nothing_left(&self) {
        let marker = self.host_marker.clone();
        wait_until(move || marked(&marker).is_empty()).await;
    }
}

/// Options of an agent in this folder, with nothing of this machine in its environment.
pub(crate) fn options(folder: &Path, model_url: &str, host_marker: &str) -> AgentOptions {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let env = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("HOME", path("home")),
        ("CLAUDE_CONFIG_DIR", path("config")),
        ("TMPDIR", path("t")),
        ("ANTHROPIC_BASE_URL", model_url.to_owned()),
        ("ANTHROPIC_API_KEY", "test".to_owned()),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
        ("DISABLE_AUTOUPDATER", "1".to_owned()),
        ("DISABLE_TELEMETRY", "1".to_owned()),
        ("DISABLE_ERROR_REPORTING", "1".to_owned()),
        ("CLAUDE_CODE_MAX_RETRIES", "1".to_owned()),
    ];
    let env = env.map(|(key, value)| (key.to_owned(), value));
    AgentOptions::default()
        .with_cli(cli())
        .with_cwd(folder.join("work"))
        .with_env(BTreeMap::from(env))
        .with_host_marker(Some(host_marker.to_owned()))
        .with_system_prompt(Some(SystemPrompt::Empty))
        .with_session(SessionStart::New { id: Uuid::new_v4() })
}

/// A variable of the test's own environment.
#[expect(clippy::disallowed_methods, reason = "a test finds the CLI by its environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// The pinned CLI, or a failure that says how to get it.
pub(crate) fn cli() -> PathBuf {
    let pinned = "steward/claude-2.1.330/node_modules/@anthropic-ai/claude-code-linux-x64/claude";
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&variable("HOME")?).join(".cache")));
    let path = variable("CLAUDE_CLI_PATH")
        .map(PathBuf::from)
        .unwrap_or_else(|| cache.unwrap_or_default().join(pinned));
    assert!(
        path.exists(),
        "no agent CLI at {}: run `cargo xtask test`, or set CLAUDE_CLI_PATH",
        path.display()
    );
    path
}

/// Pids of living processes with this host marker in their environment.
pub(crate) fn marked(marker: &str) -> Vec<i32> {
    let is_marked = |process: &Process| {
        let alive =
            process.stat().is_ok_and(|stat| !matches!(stat.state(), Ok(ProcState::Zombie | ProcState::Dead)));
        let environ = process.environ().unwrap_or_default();
        let host = environ.get(std::ffi::OsStr::new("SDK_RUNTIME_HOST"));
        alive && host.is_some_and(|host| host == marker)
    };
    all_processes().unwrap().flatten().filter(is_marked).map(|process| process.pid).collect()
}

/// Polls a level; fails the test when it is not reached.
pub(crate) async fn wait_until(mut is_reached: impl FnMut() -> bool) {
    let reached = async {
        while !is_reached() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}

pub(crate) async fn say(agent: &Agent, text: &str) -> Uuid {
    let content = PromptContent::Text(text.to_owned());
    agent.prompt(content).await.unwrap()
}

pub(crate) async fn next(events: &mut Events) -> Event {
    let event = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
    event.unwrap()
}

/// Reads up to the result of a prompt.
pub(crate) async fn result_of(events: &mut Events, id: Uuid) -> TurnResult {
    loop {
        match next(events).await {
            Event::Finished { prompts, result } if prompts.contains(&id) => return *result,
            Event::Exited(said) => panic!("the agent ended: {}", said.words()),
            Event::Overrun { .. } => panic!("overrun"),
            Event::Frame(_) | Event::Finished { .. } | Event::Dropped { .. } | Event::Skipped { .. } => {}
            Event::MirrorFailed(loss) => panic!("not mirrored: {loss:?}"),
        }
    }
}

/// Texts of all tool results in the events up to the result of a prompt.
pub(crate) async fn tool_results(events: &mut Events, id: Uuid) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        match next(events).await {
            Event::Finished { prompts, .. } if prompts.contains(&id) => return texts,
            Event::Frame(frame) => {
                let results = frame.blocks().iter();
                let results = results.filter(|block| block["type"] == "tool_result");
                texts.extend(results.map(|block| block["content"].to_string()));
            }
            Event::Exited(said) => panic!("the agent ended: {}", said.words()),
            _ => {}
        }
    }
}

/// Waits until a tool of the agent runs in a session of its own.
pub(crate) async fn tool_pid(bench: &Bench) -> i32 {
    let mut found = None;
    wait_until(|| {
        found = marked(&bench.host_marker).into_iter().find(|pid| {
            Process::new(*pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.session == *pid)
        });
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// What a failed start says.
pub(crate) async fn start_error(options: AgentOptions) -> Error {
    match Agent::start(&ProcessLauncher, options).await {
        Ok(_) => panic!("the agent started"),
        Err(error) => error,
    }
}
