//! A server with a data folder and a model of its own; nothing of it is left when the test ends.

use crate::client::Client;
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, timeout},
};

pub const PASSWORD: &str = "correct horse battery";
pub const REAL_KEY: &str = "sk-the-real-key";
/// Generous: machines are busy while tests run.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The permission modes of the CLI without `auto`, which needs a model that judges by itself.
pub const MODES: [&str; 5] = ["default", "acceptEdits", "plan", "dontAsk", "bypassPermissions"];

/// Where `cargo xtask coverage` counts the lines that programs reach, for those that have nothing else of our environment.
pub fn counting() -> Option<(&'static str, OsString)> {
    std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file))
}

pub struct World {
    pub model: offline_model::Server,
    pub folder: TempDir,
    settings: Vec<(String, String)>,
    /// Whose processes the server's are; `None`: ours.
    user: Option<u32>,
    server: Option<Child>,
    url: String,
    metrics_url: String,
}

impl World {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings beside the usual ones.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let mut world = Self::prepared(settings).await;
        world.launch().await;
        world
    }

    /// As another user, or the reason why that is not possible here.
    pub async fn as_user(user: u32, settings: &[(&str, &str)]) -> Result<Self, String> {
        let mut world = Self::prepared(settings).await;
        let (folder, bin) = (world.folder.path(), world.bin());
        chown(folder, Some(user), Some(user)).map_err(|error| error.to_string())?;
        fs::create_dir(&bin).unwrap();
        // The originals may lie where that user cannot go.
        for (from, name) in [
            (cli(), "claude"),
            (env!("CARGO_BIN_EXE_steward").into(), "steward"),
            (on_path("bwrap")?, "bwrap"),
        ] {
            let to = bin.join(name);
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
        }
        #[expect(clippy::disallowed_methods, reason = "it is tried whether that user can have a sandbox")]
        let tried = Command::new(bin.join("bwrap"))
            .args(["--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "true"])
            .uid(user)
            .gid(user)
            .output()
            .await
            .map_err(|error| error.to_string())?;
        if !tried.status.success() {
            return Err(String::from_utf8_lossy(&tried.stderr).into_owned());
        }
        world.user = Some(user);
        world.launch().await;
        Ok(world)
    }

    /// Everything but the server itself.
    pub async fn prepared(settings: &[(&str, &str)]) -> Self {
        let model = offline_model::Server::start(offline_model::Options::default()).await.unwrap();
        // A short path: Unix sockets are made below it.
        let folder = tempfile::Builder::new().prefix("stw").tempdir_in("/tmp").unwrap();
        Self {
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            model,
            folder,
            user: None,
            server: None,
            url: String::new(),
            metrics_url: String::new(),
        }
    }

    /// Programs for another user.
    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    /// Starts the server on the data folder and waits until it listens.
    pub async fn launch(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "the server under test is a process of its own")]
        let mut command = match self.user {
            Some(_) => Command::new(self.bin().join("steward")),
            None => Command::new(env!("CARGO_BIN_EXE_steward")),
        };
        command
            .env_clear()
            .envs(counting())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("CLAUDE_CLI_PATH", cli())
            .env("DATA_DIR", self.data_dir())
            .env("API_PORT", "0")
            .env("ADMIN_EMAIL", "admin@example.com")
            .env("ADMIN_PASSWORD", PASSWORD)
            .env("ANTHROPIC_UPSTREAM_URL", self.model.url())
            .env("ANTHROPIC_API_KEY", REAL_KEY)
            .env("LOG_LEVEL", "info,steward=debug")
            // Tests ask as often as they like; those of the limit say so.
            .env("RATE_LIMIT_ENABLED", "false")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::options().create(true).append(true).open(self.log_path()).unwrap())
            .kill_on_drop(true);
        if let Some(user) = self.user {
            let bin = self.bin();
            command
                .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
                .env("CLAUDE_CLI_PATH", bin.join("claude"))
                .uid(user)
                .gid(user);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut metrics_url = String::new();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(url) = line.strip_prefix("METRICS ") {
                    url.clone_into(&mut metrics_url);
                }
                if let Some(url) = line.strip_prefix("LISTENING ") {
                    return url.to_owned();
                }
            }
            panic!("the server ended at once:\n{}", self.log());
        };
        self.url = timeout(PATIENCE, listening).await.unwrap();
        self.metrics_url = metrics_url;
        self.server = Some(child);
    }

    /// What a server says that refuses to start.
    pub async fn refused(&mut self) -> String {
        #[expect(clippy::disallowed_methods, reason = "the server under test is a process of its own")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
        command
            .env_clear()
            .envs(counting())
            .env("DATA_DIR", self.data_dir())
            .env("API_PORT", "0")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs `steward audit` beside the server, as an operator would.
    pub async fn audit(&self, arguments: &[&str]) -> std::process::Output {
        #[expect(clippy::disallowed_methods, reason = "the command under test is a process of its own")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
        command.env_clear().envs(counting()).env("DATA_DIR", self.data_dir()).current_dir(self.folder.path());
        command.arg("audit").args(arguments).stdin(Stdio::null());
        timeout(PATIENCE, command.output()).await.unwrap().unwrap()
    }

    /// Runs the command beside the server, with the same settings.
    pub async fn steward(&self, arguments: &[&str]) -> std::process::Output {
        #[expect(clippy::disallowed_methods, reason = "the command under test is a process of its own")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_steward"));
        command.env_clear().envs(counting()).env("DATA_DIR", self.data_dir()).current_dir(self.folder.path());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.args(arguments).stdin(Stdio::null());
        timeout(PATIENCE, command.output()).await.unwrap().unwrap()
    }

    /// Ends the server as an operator would and checks that it ended well.
    pub async fn stop(&mut self) {
        signal(self.server_pid(), "TERM");
        self.ended().await;
    }

    /// Waits for a server that was told to end, and checks that it ended well.
    pub async fn ended(&mut self) {
        let mut server = self.server.take().unwrap();
        let status = timeout(PATIENCE, server.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    /// How a server that nobody ends has ended, if it does so in so long.
    pub async fn ended_alone(&mut self, patience: Duration) -> ExitStatus {
        let mut server = self.server.take().unwrap();
        timeout(patience, server.wait()).await.unwrap().unwrap()
    }

    /// Kills the server as nobody should.
    pub async fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().await.unwrap();
    }

    /// A logged-in admin.
    pub async fn admin(&self) -> Client {
        Client::login(&self.url, "admin@example.com", PASSWORD).await
    }

    /// Somebody without a credential.
    pub fn stranger(&self) -> Client {
        Client::anonymous(&self.url)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Puts a script into a session's working directory, and gives the command that runs it.
    pub fn script(&self, session: &str, text: &str) -> String {
        let folder = self.workspace(session);
        let name = format!("script-{}.sh", fs::read_dir(&folder).unwrap().count());
        fs::write(folder.join(&name), text).unwrap();
        format!("bash ./{name}")
    }

    /// A session's own working directory, which must be there.
    pub fn workspace(&self, session: &str) -> PathBuf {
        let id = session.rsplit('/').next().unwrap();
        let mut users = fs::read_dir(self.data_dir().join("workspaces")).unwrap().flatten();
        users.find_map(|user| Some(user.path().join(id)).filter(|folder| folder.is_dir())).unwrap()
    }

    /// The address of this server's database, for another server.
    pub fn database_url(&self) -> String {
        format!("sqlite://{}", self.data_dir().join("steward.db").display())
    }

    /// The database file itself.
    pub fn database(&self) -> rusqlite::Connection {
        let path = match self.settings.iter().find(|(name, _)| name == "DATABASE_URL") {
            Some((_, url)) => PathBuf::from(url.strip_prefix("sqlite://").unwrap()),
            None => self.data_dir().join("steward.db"),
        };
        let database = rusqlite::Connection::open(path).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        database
    }

    /// Has another value for a setting from the next launch on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a setting away from the next launch.
    pub fn unset(&mut self, name: &str) {
        self.settings.retain(|(set, _)| set != name);
    }

    /// Where the metrics are, if they have a listener of their own.
    pub fn metrics_url(&self) -> &str {
        &self.metrics_url
    }

    /// The server's process.
    pub fn server_pid(&self) -> u32 {
        self.server.as_ref().and_then(Child::id).unwrap()
    }

    /// Changes the database behind the server's back.
    pub fn sql(&self, statements: &str) {
        self.database().execute_batch(statements).unwrap();
    }

    /// Takes a table away from the server that runs, or gives it back.
    pub fn rename_table(&self, from: &str, to: &str) {
        self.sql(&format!("ALTER TABLE {from} RENAME TO {to}"));
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Agents and their tools that run for this server, with their command lines.
    pub fn agent_processes(&self) -> Vec<(u32, String)> {
        let folder = self.data_dir().display().to_string();
        processes(|env| env.contains("SDK_RUNTIME_HOST=") && env.contains(&folder))
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = &self.server
            && let Some(pid) = server.id()
        {
            // Its agents end with it, by the same way as after a crash; whoever is left is killed here so that a
            // failing test leaves nothing behind either.
            signal(pid, "KILL");
        }
        for (pid, _) in self.agent_processes() {
            signal(pid, "KILL");
        }
    }
}

/// The pinned CLI, as `cargo xtask test` installed it.
pub fn cli() -> PathBuf {
    if let Some(path) = std::env::var_os("CLAUDE_CLI_PATH") {
        return path.into();
    }
    server::cli::SearchPlaces::of_process().find(None).unwrap_or_else(|error| panic!("could not {error}"))
}

fn on_path(program: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.ok_or_else(|| format!("there is no {program} on PATH"))
}

pub fn signal(pid: u32, name: &str) {
    #[expect(clippy::disallowed_methods, reason = "kill(1) spares the tests an unsafe block")]
    let mut kill = std::process::Command::new("kill");
    // A process that is gone already makes kill fail, and that is as good.
    kill.arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status().unwrap();
}

/// Waits until `holds` says yes.
pub async fn eventually<T>(what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = holds().await {
            return value;
        }
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn processes(matches: impl Fn(&str) -> bool) -> Vec<(u32, String)> {
    let read =
        |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " ")).ok();
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let env = read(&folder.join("environ"))?;
        let command = read(&folder.join("cmdline"))?;
        // A zombie has no command line any more and cannot do anything.
        (matches(&env) && !command.is_empty()).then_some((pid, command))
    })
    .collect()
}
