//! The server under test and the model behind it.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    connection::Connection,
    process::{Process, children_of, environment_of},
    tools::Tools,
};

const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is asked whether it is ready, which is also how exact the answer is.
const READY_INTERVAL: Duration = Duration::from_millis(1);
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
const LOG_BYTES_SHOWN: usize = 1_500;
/// All agents belong to one user, and a request waits for its turn while those before it hold all there is.
const MONTHLY_BUDGET_USD: &str = "10000";
const ADMIN_EMAIL: &str = "bench@localhost";
/// The same each time, for servers that are started again on their data.
const ADMIN_PASSWORD: &str = "a password of the benchmark";

/// The stand-in for the Messages API; keeps nothing of what it is asked.
#[derive(Debug)]
pub(crate) struct Model {
    process: Process,
    pub(crate) address: SocketAddr,
}

/// A server that is ready.
#[derive(Debug)]
pub(crate) struct Steward {
    process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) data: PathBuf,
    /// From starting the process to its first answer that it is ready.
    pub(crate) ready_after: Duration,
}

/// Where an agent of the server sends its requests, and with what.
#[derive(Debug, Clone)]
pub(crate) struct AgentEndpoint {
    pub(crate) base_url: String,
    pub(crate) token: String,
}

impl Model {
    pub(crate) fn start(tools: &Tools) -> Result<Self> {
        let address = free_address()?;
        let log = tools.folder.join("model.log");
        let mut command = Command::new(&tools.offline_model);
        command.args(["--exit-with-parent", "--keep=0", "--default-text=ok", "--port"]);
        command.arg(address.port().to_string());
        let mut process = Process::start(&mut command, &log)?;
        wait_until(&mut process, &log, || TcpStream::connect(address).is_ok())?;
        Ok(Self { process, address })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn check_running(&mut self) -> Result<()> {
        self.process.check_running()
    }
}

impl Steward {
    /// Starts it on this data folder and waits until it is ready.
    pub(crate) fn start(tools: &Tools, data: &Path, model_url: &str) -> Result<Self> {
        Self::start_with(tools, data, model_url, &[])
    }

    /// The same with more settings.
    pub(crate) fn start_with(
        tools: &Tools,
        data: &Path,
        model_url: &str,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let address = free_address()?;
        let log = data.with_extension("log");
        let mut command = Command::new(&tools.steward);
        // Not the folder of the repository: a person's `.env` lies there.
        command
            .current_dir(&tools.folder)
            .env_clear()
            .envs(tools.environment(data))
            .env("DATA_DIR", data)
            .env("API_PORT", address.port().to_string())
            .env("ADMIN_EMAIL", ADMIN_EMAIL)
            .env("ADMIN_PASSWORD", ADMIN_PASSWORD)
            .env("RATE_LIMIT_ENABLED", "false")
            .env("USER_MONTHLY_BUDGET_USD", MONTHLY_BUDGET_USD)
            .env("ANTHROPIC_UPSTREAM_URL", model_url)
            .env("ANTHROPIC_API_KEY", "offline")
            .env("CLAUDE_CLI_PATH", &tools.claude)
            .envs(settings.iter().copied());
        let started = Instant::now();
        let mut process = Process::start(&mut command, &log)?;
        wait_until(&mut process, &log, || is_ready(address))?;
        let ready_after = started.elapsed();
        Ok(Self { process, address, data: data.to_owned(), ready_after })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it, with its agents.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.process.stop().context("failed to end the server")
    }

    /// Logs in; the connections of one login may be many.
    pub(crate) async fn log_in(&self) -> Result<String> {
        let mut connection = Connection::open(self.address, None).await?;
        let login = json!({"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD});
        let answer = connection.post("/api/v1/auth/login", &login).await?;
        let token = answer["access_token"].as_str().context("the answer to a login has a token")?;
        Ok(format!("Bearer {token}"))
    }

    /// A connection with this login.
    pub(crate) async fn connect(&self, login: &str) -> Result<Connection> {
        Connection::open(self.address, Some(("authorization", login.to_owned()))).await
    }

    /// What the running agent of a session was given to reach the model.
    pub(crate) fn agent_endpoint(&self, session: &str) -> Result<AgentEndpoint> {
        let children = children_of(self.id())?;
        let is_agent = |pid: &&u32| {
            environment_of(**pid, "CLAUDE_CONFIG_DIR").is_some_and(|folder| folder.ends_with(session))
        };
        let agent = *children.iter().find(is_agent).context("the session's agent is not running")?;
        let variable = |name| environment_of(agent, name).with_context(|| format!("the agent has no {name}"));
        Ok(AgentEndpoint { base_url: variable("ANTHROPIC_BASE_URL")?, token: variable("ANTHROPIC_API_KEY")? })
    }
}

/// Creates a session and gives its id.
pub(crate) async fn create_session(connection: &mut Connection, wanted: &Value) -> Result<String> {
    let session = connection.post("/api/v1/sessions", wanted).await?;
    Ok(session["id"].as_str().context("a session has an id")?.to_owned())
}

/// Sends a prompt, waits for the end of its turn, and checks that it went well.
pub(crate) async fn query(connection: &mut Connection, session: &str, prompt: &str) -> Result<()> {
    let answer =
        connection.post(&format!("/api/v1/sessions/{session}/query"), &json!({"message": prompt})).await?;
    ensure!(answer["status"] == "completed", "the turn did not complete: {answer}");
    Ok(())
}

/// A port that nobody has now; only bad luck gives it to somebody else before it is used.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port")?;
    Ok(listener.local_addr()?)
}

fn wait_until(process: &mut Process, log: &Path, mut is_done: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    while !is_done() {
        let still = process.check_running();
        still.with_context(|| format!("it wrote: {}", end_of(log)))?;
        ensure!(Instant::now() < deadline, "it is not ready within {READY_TIMEOUT:?}: {}", end_of(log));
        std::thread::sleep(READY_INTERVAL);
    }
    Ok(())
}

fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let start = text.len().saturating_sub(LOG_BYTES_SHOWN);
    String::from_utf8_lossy(&text[start..]).into_owned()
}

/// A connection of its own each time: before it is ready there may be nobody to connect to.
fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut socket = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
        socket.set_read_timeout(Some(PROBE_TIMEOUT))?;
        write!(socket, "GET /health/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
        let mut status = [0; b"HTTP/1.1 200".len()];
        socket.read_exact(&mut status)?;
        Ok(status == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}
