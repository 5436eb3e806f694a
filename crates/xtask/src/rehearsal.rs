//! A server for a check of its API: with the offline model, a data folder that is gone afterwards, and an admin whose
//! password is known.

use std::{
    path::{self, Path},
    process::{Command, ExitStatus},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    apart::Apart,
    bubblewrap,
    cargo::{self, Built, Profile},
    claude,
    process::{Interrupts, Process},
    run::{OFFLINE_KEY, Running, start_offline_model, start_server},
    settings::Settings,
};

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What is started, in the order in which it ends.
pub(crate) struct Rehearsal {
    server: Running,
    interrupts: Interrupts,
    _offline_model: Process,
    apart: Apart,
}

impl Rehearsal {
    /// Starts a server with these settings beside its defaults. `built` says what is built with it.
    pub(crate) fn start(
        root: &Path,
        settings: &Settings,
        built: Built,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let claude = claude::find_or_install_pinned(settings)?;
        let programs_path = bubblewrap::path_with_bwrap(settings)?;
        let programs = cargo::build(root, built, Profile::Dev)?;
        let program = |name: &str| programs.get(name).with_context(|| format!("cargo has built no {name}"));
        let interrupts = Interrupts::catch()?;
        let (model, port) = start_offline_model(Command::new(program("offline-model")?), &interrupts)?;
        let apart = Apart::new("rehearsal")?;
        let mut command = Command::new(program("steward")?);
        apart.configure(&mut command, settings);
        command.env("CLAUDE_CLI_PATH", path::absolute(claude)?).env("PATH", programs_path);
        command.env("ANTHROPIC_UPSTREAM_URL", format!("http://127.0.0.1:{port}"));
        command.env("ANTHROPIC_API_KEY", OFFLINE_KEY);
        command.envs(variables.iter().copied());
        let server = start_server(command, &interrupts)?;
        Ok(Self { server, interrupts, _offline_model: model, apart })
    }

    /// Runs a program that is told where the server is and who its admin is, by variables of the environment.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<ExitStatus> {
        command
            .env("STEWARD_URL", &self.server.url)
            .env("STEWARD_EMAIL", self.apart.email)
            .env("STEWARD_PASSWORD", &self.apart.password)
            // A proxy of the machine has no business with a server on it.
            .env("NO_PROXY", "127.0.0.1");
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().with_context(|| format!("failed to start {name}"))?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if let Err(error) = self.server.check_running() {
                child.kill()?;
                child.wait()?;
                return Err(error);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Stops the server, which must end well.
    pub(crate) fn stop(mut self) -> Result<()> {
        ensure!(self.interrupts.count() == 0, "stopped");
        self.server.stop().map(drop)
    }
}
