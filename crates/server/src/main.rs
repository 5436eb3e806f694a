//! The `steward` command.

use std::{io::Write, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Parser;
use server::{
    audit_command,
    command::{Action, Command},
    config::{Config, ServerRole},
    crash_points, secrets_command,
    serve::serve,
    watchdog,
};
use tokio::runtime::Builder;

fn main() -> anyhow::Result<ExitCode> {
    keep_memory_private()?;
    match Command::parse().action {
        Some(Action::Secrets(command)) => {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(secrets_command::run(command))
        }
        None => run_server(None).map(|()| ExitCode::SUCCESS),
        Some(Action::Serve { role }) => run_server(role).map(|()| ExitCode::SUCCESS),
        Some(Action::Audit(command)) => {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            match runtime.block_on(audit_command::run(command)) {
                Ok(code) => Ok(code),
                Err(error) => {
                    // Not the code of a damaged log: scripts must be able to tell.
                    writeln!(std::io::stderr(), "Error: {error:?}")?;
                    Ok(ExitCode::from(audit_command::NOT_CHECKED))
                }
            }
        }
    }
}

fn run_server(role: Option<ServerRole>) -> anyhow::Result<()> {
    let mut config = Config::load().map_err(|errors| anyhow::anyhow!("failed to {errors}"))?;
    config.tasks.role = role.unwrap_or(config.tasks.role);
    let telemetry = monitoring::init(config.telemetry_settings());
    let telemetry = Arc::new(telemetry.context("could not set up logging and telemetry")?);
    let _crash_points = crash_points::arm();
    // A thread that has only the lease to keep is given a processor soon, however many others want one. From there it can
    // be seen too whether these still run.
    let lease_runtime =
        Builder::new_multi_thread().worker_threads(1).thread_name("lease").enable_all().build()?;
    // The listener's workers bring runtimes of their own; everything else runs on this one.
    let runtime = Builder::new_multi_thread().worker_threads(workers()).enable_all().build()?;
    lease_runtime.spawn(watchdog::watch(runtime.handle().clone()));
    runtime.block_on(serve(config, telemetry, lease_runtime.handle().clone()))
}

/// Half of the processors: the other half is for agents, which take several times as much. A worker wakes another one
/// for each second task that is ready, and that one would take the processor which an agent is about to need.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

/// Agents run as the same user as this process, and its environment may hold the API key. The kernel shows it to no
/// process of that user (root aside) once this one counts as not dumpable.
#[cfg(target_os = "linux")]
fn keep_memory_private() -> anyhow::Result<()> {
    nix::sys::prctl::set_dumpable(false).context("could not keep this process's memory private")
}

#[cfg(not(target_os = "linux"))]
fn keep_memory_private() -> anyhow::Result<()> {
    Ok(())
}
