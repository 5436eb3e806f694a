//! The transport seam: who starts an agent, and the pipes and life that come of it.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

use crate::{
    containment::Containment,
    error::{Error, Exit},
    hidden,
    limits::Limits,
    options::EnvMode,
    process::StderrCallback,
};

/// Starts agents. `ProcessLauncher` starts real ones, `testing::ScriptedLauncher` pretends.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Starts one agent; it has not been spoken to yet.
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error>;
}

/// What to start. `Debug` shows the names of variables and not what they hold.
#[derive(Clone)]
#[non_exhaustive]
pub struct Invocation {
    /// The CLI.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment, without the markers.
    pub env: BTreeMap<String, String>,
    /// Whether `env` is all there is.
    pub env_mode: EnvMode,
    /// Working directory.
    pub cwd: PathBuf,
    /// Marks this agent's processes.
    pub agent_marker: Uuid,
    /// Marks this host's processes.
    pub host_marker: Option<String>,
    /// Bounds.
    pub limits: Limits,
    /// Told what it writes on stderr.
    pub on_stderr: Option<StderrCallback>,
    /// Directories beside `cwd` it may work in.
    pub add_dirs: Vec<PathBuf>,
    /// What it may use and reach. A launcher that cannot do that must refuse.
    pub containment: Containment,
}

impl Invocation {
    /// A program that is no agent but is started, contained and ended like one: an external MCP server. It is looked up
    /// in `PATH` where it runs, so inside the jail if there is one, and has nothing but this environment.
    pub fn program(
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        cwd: impl Into<PathBuf>,
        env: BTreeMap<String, String>,
        containment: Containment,
    ) -> Self {
        // By way of `env`, because what is started itself is shown to the jail, wherever it lies.
        let mut all = vec!["--".into(), program.into()];
        all.extend(args.into_iter().map(Into::into));
        Self {
            program: "env".into(),
            args: all,
            env,
            env_mode: EnvMode::Replace,
            cwd: cwd.into(),
            agent_marker: Uuid::new_v4(),
            host_marker: None,
            limits: Limits::default(),
            on_stderr: None,
            add_dirs: Vec::new(),
            containment,
        }
    }

    /// The same, marked as one of this host's.
    #[must_use]
    pub fn marked(self, host_marker: impl Into<String>) -> Self {
        Self { host_marker: Some(host_marker.into()), ..self }
    }
}

/// A started agent.
pub struct Transport {
    /// Where lines for the agent go; closing it is the first step of the end.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Where its lines come from.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its life.
    pub life: Box<dyn Life>,
}

/// The life of a started agent. Dropping it must end the agent and everything it started.
#[async_trait]
pub trait Life: Send + Sync {
    /// Process id, when there is a process.
    fn pid(&self) -> Option<u32>;

    /// Begins to end it, and returns at once. A later `Now` hastens an `AfterGrace`.
    fn end(&self, haste: Haste);

    /// Counts the CPU time of [`ProcessLimits`](crate::ProcessLimits) from now on. A life without such a
    /// bound has nothing to do.
    fn restart_cpu_time(&self) {}

    /// Waits until it has ended and nothing it started is left.
    async fn ended(&self) -> Exit;
}

/// How to end an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Haste {
    /// Its stdin is being closed: wait, then SIGTERM, wait, then SIGKILL.
    AfterGrace,
    /// SIGKILL.
    Now,
}

impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |arg: &OsString| match hidden::secret_flag(&arg.to_string_lossy()) {
            Some(flag) => format!("{flag}***"),
            None => arg.to_string_lossy().into_owned(),
        };
        f.debug_struct("Invocation")
            .field("program", &self.program)
            .field("args", &self.args.iter().map(shown).collect::<Vec<_>>())
            .field("env", &hidden::Names(&self.env))
            .field("env_mode", &self.env_mode)
            .field("cwd", &self.cwd)
            .field("agent_marker", &self.agent_marker)
            .field("host_marker", &self.host_marker)
            .field("limits", &self.limits)
            .field("on_stderr", &self.on_stderr)
            .field("add_dirs", &self.add_dirs)
            .field("containment", &self.containment)
            .finish()
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("pid", &self.life.pid()).finish_non_exhaustive()
    }
}
