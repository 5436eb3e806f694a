//! `cargo xtask run`: the server with everything it needs, until Ctrl-C.

use std::{
    path::{self, Path},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    apart::Apart,
    bubblewrap,
    cargo::{self, Built, Profile},
    claude,
    demo::Demo,
    http::Client,
    process::{Interrupts, Process},
    settings::Settings,
    welcome::Welcome,
};

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// What the server is told instead of a key, so that it has something to send; the offline model does not look at it.
pub(crate) const OFFLINE_KEY: &str = "offline";

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Play one session in the terminal, in a data folder of its own, then stop.
    #[arg(long)]
    demo: bool,
    /// Build optimised; slower to build.
    #[arg(long)]
    release: bool,
}

/// Who answers the agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Model {
    /// The API at `ANTHROPIC_UPSTREAM_URL`, by default the public one.
    Api,
    /// Our stand-in.
    Offline,
}

/// A server that is ready.
#[derive(Debug)]
pub(crate) struct Running {
    process: Process,
    pub(crate) url: String,
    /// E-mail and password, where the server has made them up: on the first start with a data folder.
    pub(crate) admin: Option<(String, String)>,
}

/// Starts everything; what this tool started has ended when it returns.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let settings = Settings::read(root);
    let model = model(&settings);
    let claude = claude::find_or_install(&settings)?;
    let profile = if options.release { Profile::Release } else { Profile::Dev };
    let mut packages = vec!["server"];
    if model == Model::Offline {
        packages.push("offline-model");
    }
    println!("building {} ...", packages.join(" and "));
    let programs = cargo::build(root, Built::Packages(&packages), profile)?;
    let program = |name: &str| programs.get(name).with_context(|| format!("cargo has built no {name}"));

    let interrupts = Interrupts::catch()?;
    let mut command = Command::new(program("steward")?);
    // A demo knows its admin's password; that of what the person has configured is not known here.
    let apart = if options.demo { Some(Apart::new("demo")?) } else { None };
    match &apart {
        Some(apart) => apart.configure(&mut command, &settings),
        None => drop(command.current_dir(root)),
    }
    command.env("CLAUDE_CLI_PATH", path::absolute(&claude)?);
    match bubblewrap::path_with_bwrap(&settings) {
        Ok(path) => {
            command.env("PATH", path);
        }
        // The server says what that means, or refuses to start if the settings ask for a sandbox.
        Err(error) => println!("no bubblewrap, so agents run without a sandbox: {error:#}"),
    }
    let _offline_model = match model {
        Model::Api => None,
        Model::Offline => {
            let (process, port) = start_offline_model(Command::new(program("offline-model")?), &interrupts)?;
            command.env("ANTHROPIC_UPSTREAM_URL", format!("http://127.0.0.1:{port}"));
            command.env("ANTHROPIC_API_KEY", OFFLINE_KEY);
            Some(process)
        }
    };
    let mut server = start_server(command, &interrupts)?;
    if let Some(apart) = &apart {
        play_demo(&mut server, apart, model)?;
        return server.stop();
    }
    Welcome { server: &server, model: &model, settings: &settings }.print();
    wait_until_stopped(server, &interrupts)
}

fn model(settings: &Settings) -> Model {
    let given =
        ["ANTHROPIC_API_KEY", "ANTHROPIC_UPSTREAM_URL"].iter().any(|name| settings.get(name).is_some());
    if given { Model::Api } else { Model::Offline }
}

pub(crate) fn start_offline_model(mut command: Command, interrupts: &Interrupts) -> Result<(Process, u16)> {
    command.args(["--port", "0", "--exit-with-parent"]);
    let mut process = Process::start("the offline model", &mut command, interrupts)?;
    let port = process.wait_for_line("LISTENING ", START_TIMEOUT)?;
    Ok((process, port.parse().context("the offline model names its port")?))
}

/// Plays it on a thread of its own, so that Ctrl-C is seen while it waits for the agent.
fn play_demo(server: &mut Running, apart: &Apart, model: Model) -> Result<()> {
    let (email, password) = (apart.email.to_owned(), apart.password.clone());
    let demo = Demo { url: server.url.clone(), email, password, model };
    let player = thread::spawn(move || demo.play());
    while !player.is_finished() {
        server.process.check_running()?;
        server.process.next_line();
    }
    player.join().map_err(|_| anyhow!("the demo itself broke"))?
}

pub(crate) fn start_server(mut command: Command, interrupts: &Interrupts) -> Result<Running> {
    let mut process = Process::start("the server", &mut command, interrupts)?;
    let deadline = Instant::now() + START_TIMEOUT;
    let mut admin = None;
    let url = loop {
        match process.next_line() {
            Some(line) => {
                if let Some(url) = line.strip_prefix("LISTENING ") {
                    break url.trim().to_owned();
                }
                admin = admin.or(parse_admin(&line));
            }
            None => process.check_running()?,
        }
        if Instant::now() > deadline {
            bail!("the server has not said where it listens within {} s", START_TIMEOUT.as_secs());
        }
    };
    let mut server = Running { process, url, admin };
    server.wait_until_ready(deadline)?;
    Ok(server)
}

fn parse_admin(line: &str) -> Option<(String, String)> {
    let (email, password) = line.strip_prefix("ADMIN ")?.trim().split_once(' ')?;
    Some((email.to_owned(), password.to_owned()))
}

impl Running {
    fn wait_until_ready(&mut self, deadline: Instant) -> Result<()> {
        let client = Client::new(&self.url);
        loop {
            let answer = client.get("/health/ready");
            if matches!(answer, Ok((200, _))) {
                return Ok(());
            }
            if Instant::now() > deadline {
                match answer {
                    Ok((status, body)) => bail!("the server is not ready ({status}): {body}"),
                    Err(error) => return Err(error).context("the server does not answer"),
                }
            }
            if let Some(line) = self.process.next_line() {
                self.admin = self.admin.take().or(parse_admin(&line));
            }
            self.process.check_running()?;
        }
    }

    /// Fails when it has ended or the person wants to stop; what it said meanwhile is shown.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        while let Some(line) = self.process.next_line() {
            println!("{line}");
        }
        self.process.check_running()
    }

    /// Stops the server; its exit code is ours.
    pub(crate) fn stop(&mut self) -> Result<ExitCode> {
        let status = self.process.stop()?;
        if status.success() {
            return Ok(ExitCode::SUCCESS);
        }
        bail!("the server ended with {status}")
    }
}

fn wait_until_stopped(mut server: Running, interrupts: &Interrupts) -> Result<ExitCode> {
    loop {
        if interrupts.count() > 0 {
            println!("\nstopping (Ctrl-C again to hurry) ...");
            return server.stop();
        }
        if let Some(status) = server.process.end()? {
            bail!("the server ended by itself: {status}");
        }
        if let Some(line) = server.process.next_line() {
            println!("{line}");
        }
    }
}
