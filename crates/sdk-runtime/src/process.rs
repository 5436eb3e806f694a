//! Processes: the one place where they are started, and where their end is made sure of.

mod root;
mod spawner;
mod stderr;
mod supervisor;
#[cfg(target_os = "linux")]
mod sweep;
#[cfg(not(target_os = "linux"))]
#[path = "process/sweep_elsewhere.rs"]
mod sweep;

use std::{io, path::Path, process::Stdio, sync::Arc, time::Duration};

pub use self::stderr::StderrCallback;

use async_trait::async_trait;
use tokio::process::Command;

use crate::{
    error::Error,
    launcher::{Invocation, Launcher, Transport},
    options::EnvMode,
};

/// In the environment of an agent and of everything it starts: which agent.
const AGENT_MARKER: &str = "SDK_RUNTIME_AGENT";
/// In the same environment: which host.
const HOST_MARKER: &str = "SDK_RUNTIME_HOST";
/// Set inside an agent; an agent that sees it believes it is nested.
const NESTING_MARK: &str = "CLAUDECODE";
/// Bound of `--version`.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);
/// Bound of `sweep_host`.
const HOST_SWEEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts agents as processes of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessLauncher;

#[async_trait]
impl Launcher for ProcessLauncher {
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error> {
        root::check(invocation)?;
        let mut command = command(&invocation.program);
        command
            .args(&invocation.args)
            .current_dir(&invocation.cwd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        set_env(&mut command, invocation);
        let child = spawner::spawn(command)
            .await
            .map_err(|source| spawn_error(&invocation.program, &invocation.cwd, source))?;
        supervisor::supervise(child, invocation)
    }
}

/// Kills every process left behind by an earlier life of the host that marks its agents with `marker`,
/// and says how many there were. Call it before the first agent is started. It never kills this process.
pub fn sweep_host(marker: &str) -> io::Result<usize> {
    let mark = sweep::Mark::new(HOST_MARKER, marker);
    sweep::sweep(&mark, &mut sweep::Known::default(), HOST_SWEEP_TIMEOUT)
}

/// What `--version` prints.
pub(crate) async fn version_text(cli: &Path) -> Result<String, Error> {
    let mut command = command(cli);
    command
        .arg("--version")
        .env_remove(NESTING_MARK)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let here = Path::new(".");
    let child = spawner::spawn(command).await.map_err(|source| spawn_error(cli, here, source))?;
    let output = tokio::time::timeout(VERSION_TIMEOUT, child.wait_with_output()).await;
    match output {
        Ok(Ok(output)) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Ok(Err(source)) => Err(spawn_error(cli, here, source)),
        Err(_) => Err(Error::VersionUnreadable { printed: String::new() }),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the ban leads here: this is where processes are started and ended"
)]
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    // A group of its own keeps a terminal's Ctrl-C away from the agent; the host ends it in order.
    command.process_group(0).kill_on_drop(true);
    die_with_parent(&mut command);
    command
}

/// Asks the kernel for SIGTERM when the spawner thread, and with it the host, is gone; on SIGTERM the
/// agent kills its tools.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "prctl has to run between fork and exec, and std offers no safe way to do that"
)]
fn die_with_parent(command: &mut Command) {
    use nix::{sys::prctl, sys::signal::Signal, unistd};

    let host = unistd::getpid();
    // SAFETY: between fork and exec the closure only makes two system calls; it neither allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGTERM)?;
            // The host may have died before the signal was asked for; then nobody would send it.
            if unistd::getppid() == host {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(nix::libc::ESRCH))
            }
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}

fn set_env(command: &mut Command, invocation: &Invocation) {
    match invocation.env_mode {
        EnvMode::Replace => command.env_clear(),
        EnvMode::Merge => command.env_remove(HOST_MARKER),
    };
    command
        .env("PWD", &invocation.cwd)
        .envs(&invocation.env)
        .env_remove(NESTING_MARK)
        .env(AGENT_MARKER, invocation.agent_marker.to_string());
    if let Some(marker) = &invocation.host_marker {
        command.env(HOST_MARKER, marker);
    }
}

fn spawn_error(program: &Path, cwd: &Path, source: io::Error) -> Error {
    // A missing working directory is reported with the same code as a missing program.
    if source.kind() == io::ErrorKind::NotFound && cwd.is_dir() {
        return Error::CliNotFound { path: program.to_owned() };
    }
    Error::Spawn { program: program.to_owned(), source: Arc::new(source) }
}
