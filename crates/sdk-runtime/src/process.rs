//! Processes: the one place where they are started, and where their end is made sure of.

#[cfg(target_os = "linux")]
mod bridge;
#[cfg(target_os = "linux")]
mod census;
#[cfg(target_os = "linux")]
mod contained;
#[cfg(not(target_os = "linux"))]
#[path = "process/contained_elsewhere.rs"]
mod contained;
mod discovery;
mod jail;
mod masks;
mod paced_pipe;
mod rlimits;
mod root;
mod spawner;
mod stderr;
mod supervisor;
#[cfg(target_os = "linux")]
mod sweep;
#[cfg(not(target_os = "linux"))]
#[path = "process/sweep_elsewhere.rs"]
mod sweep;
mod tally;
#[cfg(target_os = "linux")]
mod weight;
#[cfg(not(target_os = "linux"))]
#[path = "process/weight_elsewhere.rs"]
mod weight;

use std::{io, path::Path, process::Stdio, sync::Arc, time::Duration};

pub use self::stderr::StderrCallback;

use async_trait::async_trait;
use tokio::process::Command;

pub(crate) use self::discovery::home_dir;
pub use self::discovery::{cli_places, find_cli};
use self::{contained::Inside, jail::Wrapped, rlimits::Rlimits};
use crate::{
    containment::{Jail, ProcessLimits, RunAs},
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
        if !invocation.cwd.is_dir() {
            return Err(Error::CwdNotFound { path: invocation.cwd.clone() });
        }
        let limits = &invocation.containment.limits;
        let (mut command, inside) = match &invocation.containment.jail {
            None => {
                let mut command = command(&invocation.program, limits);
                command.args(&invocation.args);
                (command, Inside::default())
            }
            Some(jail) => {
                let inside = Inside::prepare(jail, invocation.host_marker.as_deref())?;
                let masks = masks::of(jail).await?;
                let gateway = inside.gateway();
                let Wrapped { program, args } = jail::wrap(jail, &masks, invocation, gateway.as_deref())?;
                let mut command = command(&program, limits);
                command.args(args);
                (command, inside)
            }
        };
        command
            .current_dir(&invocation.cwd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(RunAs { uid, gid }) = invocation.containment.user {
            command.uid(uid).gid(gid);
        }
        set_env(&mut command, invocation);
        let child = spawner::spawn(command)
            .await
            .map_err(|source| spawn_error(&invocation.program, &invocation.cwd, source))?;
        supervisor::supervise(child, invocation, inside).await
    }
}

/// Kills every process left behind by an earlier life of the host that marks its agents with `marker`, and says how many
/// there were; sockets that it left go as well. Call it before the first agent is started. It never kills this process.
/// One that it may not kill, because it runs as somebody else, is told in the log and left.
pub fn sweep_host(marker: &str) -> io::Result<usize> {
    let mark = sweep::Mark::new(HOST_MARKER, marker);
    let swept = sweep::sweep(&mark, &mut sweep::Known::default(), HOST_SWEEP_TIMEOUT)?;
    #[cfg(target_os = "linux")]
    bridge::sweep(marker);
    Ok(swept)
}

/// How much memory each agent of the host that marks its agents with `marker` takes now, in bytes: anonymous and shared
/// pages of the agent and of what it started. It reads the process table, so it is slow where there are many processes.
pub fn memory_of_agents(marker: &str) -> io::Result<Vec<u64>> {
    sweep::memory_of_agents(&sweep::Mark::new(HOST_MARKER, marker), AGENT_MARKER)
}

/// Tries whether this jail can be had here, without an agent. Bounded; nothing is left running. When this
/// is dropped, what was started is ended.
pub async fn try_jail(jail: &Jail) -> Result<(), Error> {
    let Wrapped { program, args } = jail::wrap_nothing(jail, &masks::of(jail).await?)?;
    let mut command = command(&program, &ProcessLimits::default());
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let refused = |why: String| Error::NotContained { why };
    let child = spawner::spawn(command).await.map_err(|error| refused(error.to_string()))?;
    match tokio::time::timeout(VERSION_TIMEOUT, child.wait_with_output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Ok(Err(error)) => Err(refused(error.to_string())),
        Err(_) => Err(refused(format!("bubblewrap did not end within {VERSION_TIMEOUT:?}"))),
    }
}

/// What `--version` prints.
pub(crate) async fn version_text(cli: &Path) -> Result<String, Error> {
    let mut command = command(cli, &ProcessLimits::default());
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
fn command(program: &Path, limits: &ProcessLimits) -> Command {
    let mut command = Command::new(program);
    // A group of its own keeps a terminal's Ctrl-C away from the agent; the host ends it in order.
    command.process_group(0).kill_on_drop(true);
    prepare(&mut command, limits);
    command
}

/// Asks the kernel for SIGTERM when the spawner thread, and with it the host, is gone; on SIGTERM the
/// agent kills its tools. Sets the limits that hold for each process, and its priority.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "prctl has to run between fork and exec, and std offers no safe way to do that"
)]
fn prepare(command: &mut Command, limits: &ProcessLimits) {
    use nix::{sys::prctl, sys::signal::Signal, unistd};

    let (host, rlimits) = (unistd::getpid(), Rlimits::new(limits));
    let niceness = i32::from(limits.niceness);
    // SAFETY: between fork and exec the closure only makes system calls; it neither allocates nor locks.
    // `nice` takes any number, and to be given less is refused to nobody.
    unsafe {
        command.pre_exec(move || {
            rlimits.set()?;
            nix::libc::nice(niceness);
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
fn prepare(_command: &mut Command, _limits: &ProcessLimits) {}

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
    let (path, is_path) = (program.to_owned(), program.components().count() > 1);
    match source.kind() {
        // A missing working directory is reported with the same code as a missing program.
        io::ErrorKind::NotFound if !cwd.is_dir() => Error::CwdNotFound { path: cwd.to_owned() },
        // So is the missing interpreter of a script, or of a binary made for another system.
        io::ErrorKind::NotFound if is_path && program.is_file() => {
            let why = "the interpreter or loader it names is missing".to_owned();
            Error::CliNotExecutable { path, why }
        }
        io::ErrorKind::NotFound => Error::CliNotFound { path },
        io::ErrorKind::PermissionDenied if is_path && program.is_dir() => {
            Error::CliNotExecutable { path, why: "it is a directory".to_owned() }
        }
        io::ErrorKind::PermissionDenied if is_path => {
            let why = "it may not be executed: check its mode and that its file system allows it".to_owned();
            Error::CliNotExecutable { path, why }
        }
        io::ErrorKind::ExecutableFileBusy => {
            Error::CliNotExecutable { path, why: "it is being written".to_owned() }
        }
        _ => Error::Spawn { program: path, source: Arc::new(source) },
    }
}
