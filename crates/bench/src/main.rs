//! Measures Steward beside its references and prints the figures as JSON; `cargo xtask bench` starts it.

#![expect(
    clippy::disallowed_methods,
    reason = "this tool starts the server, the CLI and Python, and is no part of the server"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints its figures")]

mod archive;
mod connection;
mod create;
mod figures;
mod gateway;
mod load;
mod metrics;
mod pages;
mod plain_relay;
mod process;
mod relay;
mod report;
mod scale;
mod sdk;
mod start;
mod steward;
mod tools;
mod turns;
mod verdicts;

use std::{env, path::Path, process::ExitCode};

use anyhow::{Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    load::Load,
    report::{GroupReport, Report},
    scale::Scale,
    sdk::Topic,
    tools::Tools,
};

/// Measures Steward beside its references.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    tools: Tools,
    /// Fewer repetitions: figures to look at, not to keep.
    #[arg(long)]
    quick: bool,
    /// Only groups whose name contains this.
    filter: Option<String>,
}

/// What is measured together.
#[derive(Debug, Clone, Copy)]
enum Group {
    Ready,
    Create,
    Warm,
    Cold,
    Gateway,
    Metrics,
    Load(Load),
    Pages,
    Verdicts,
    Archive,
    Sdk(Topic),
}

fn main() -> Result<ExitCode> {
    if let Some(cli) = env::var_os(relay::CLI) {
        return relay::run(Path::new(&cli));
    }
    let success = |()| ExitCode::SUCCESS;
    if env::args().nth(1).is_some_and(|first| first == archive::WORKER_ARGUMENT) {
        return archive::run_worker().map(success);
    }
    run(&Arguments::parse()).map(success)
}

/// One thread is enough for what runs here, and leaves the others to what is measured.
#[tokio::main(flavor = "current_thread")]
async fn run(arguments: &Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Whoever is dropped here ends the processes it has started.
    let report = tokio::select! {
        report = measure(arguments) => report?,
        _ = terminate.recv() => bail!("stopped"),
        _ = interrupt.recv() => bail!("stopped"),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Report> {
    let (tools, scale) = (&arguments.tools, Scale::new(arguments.quick));
    let mut groups = Vec::new();
    for (name, group) in GROUPS {
        if arguments.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        eprintln!("measuring {name} ...");
        let mut problems = Vec::new();
        let rows = match group {
            Group::Ready => start::measure(tools, &scale, &mut problems).await,
            Group::Create => create::measure(tools, &scale).await,
            Group::Warm => turns::measure_warm(tools, &scale, &mut problems).await,
            Group::Cold => turns::measure_cold(tools, &scale, &mut problems).await,
            Group::Verdicts => verdicts::measure(tools, &scale).await,
            Group::Load(load) => load::measure(load, tools, &scale, &mut problems).await,
            Group::Pages => pages::measure(tools, &scale).await,
            Group::Gateway => gateway::measure(tools, &scale).await,
            Group::Metrics => metrics::measure(tools, &scale).await,
            Group::Archive => archive::measure(tools, &scale, &mut problems).await,
            Group::Sdk(topic) => sdk::measure(topic, tools, &scale).await,
        };
        let rows = rows.unwrap_or_else(|error| {
            problems.push(format!("{error:#}"));
            Vec::new()
        });
        groups.push(GroupReport { name, rows, problems });
    }
    if groups.is_empty() {
        let names = GROUPS.map(|(name, _)| name).join(", ");
        bail!("no group has that in its name; there are {names}");
    }
    Ok(Report { groups })
}

const GROUPS: [(&str, Group); 16] = [
    ("ready", Group::Ready),
    ("create", Group::Create),
    ("warm", Group::Warm),
    ("cold", Group::Cold),
    ("gateway", Group::Gateway),
    ("metrics", Group::Metrics),
    ("load", Group::Load(Load::Requests)),
    ("watchers", Group::Load(Load::Watchers)),
    ("pages", Group::Pages),
    ("verdicts", Group::Verdicts),
    ("archive", Group::Archive),
    ("sdk-answers", Group::Sdk(Topic::Answers)),
    ("sdk-partials", Group::Sdk(Topic::Partials)),
    ("sdk-crowd", Group::Sdk(Topic::Crowd)),
    ("sdk-spares", Group::Sdk(Topic::Spares)),
    ("sdk-interrupt", Group::Sdk(Topic::Interrupt)),
];
