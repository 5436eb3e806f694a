//! `cargo xtask bench`: everything the benchmarks need, then the benchmarks, then the table.
//!
//! The measuring is done by the `bench` crate, whose dependencies would make this tool slow to build.

mod compile;
mod document;
mod machine;
mod python;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::{machine::Machine, table::Table};
use crate::{
    cargo::{self, Built, Profile},
    claude,
    postgres::Cluster,
    process::{Interrupts, Process},
    s3::S3Server,
    settings::Settings,
};

/// Twice what it takes on a slow machine.
const RUN_TIMEOUT: Duration = Duration::from_secs(90 * 60);
const RESULT_FILE: &str = "docs/benchmarks.md";

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Fewer repetitions, to look at; docs/benchmarks.md stays as it is.
    #[arg(long)]
    quick: bool,
    /// Only what has this in its name: ready, create, warm, cold, gateway, metrics, load, watchers, pages, verdicts, archive,
    /// sdk-answers, sdk-partials, sdk-crowd, sdk-spares, sdk-interrupt, compile. Other figures stay as they were.
    filter: Option<String>,
}

/// The programs that take part.
struct Contestants {
    steward: PathBuf,
    offline_model: PathBuf,
    claude: PathBuf,
    python: Option<PathBuf>,
}

/// Measures, prints the tables, and writes them down unless they are quick ones. Fails only when something could not be
/// measured.
pub(crate) fn bench(root: &Path, options: &Options) -> Result<ExitCode> {
    let settings = Settings::read(root);
    let claude = claude::find_or_install_pinned(&settings)?;
    // Without Python all the rest can still be measured; what is missing is told at the end.
    let python =
        python::find_or_install(&settings).map_err(|error| println!("no Python SDK: {error:#}")).ok();
    println!("building optimised programs; the first time takes minutes ...");
    let programs =
        cargo::build(root, Built::Packages(&["server", "offline-model", "bench"]), Profile::Release)?;
    // By itself, so that it is what somebody has who embeds `sdk-runtime` alone.
    cargo::build(root, Built::Packages(&["bench-host"]), Profile::Release)?;
    let program = |name: &str| programs.get(name).with_context(|| format!("cargo has built no {name}"));
    let contestants = Contestants {
        steward: program("steward")?.clone(),
        offline_model: program("offline-model")?.clone(),
        claude,
        python,
    };
    let machine = Machine::look(&contestants);
    let filter = options.filter.as_deref();
    let mut report = match filter {
        Some(compile::GROUP) => json!({ "groups": [] }),
        _ => {
            // Without it, only what needs it is reported as missing.
            let s3 =
                S3Server::start(root, &settings).map_err(|error| println!("no S3 server: {error:#}")).ok();
            measure(program("steward-bench")?, &contestants, s3.as_ref(), options, &settings)?
        }
    };
    if filter.is_none_or(|filter| filter == compile::GROUP)
        && !options.quick
        && let Some(groups) = report["groups"].as_array_mut()
    {
        groups.push(json!({ "name": compile::GROUP, "rows": compile::measure(root)?, "problems": [] }));
    }
    let tables = Table::all(&report)?;
    println!("\n{machine}");
    for table in &tables {
        println!("\n{}", table.for_terminal());
    }
    if options.quick {
        println!("a quick run: {RESULT_FILE} stays as it is");
    } else {
        let file = root.join(RESULT_FILE);
        let before = fs::read_to_string(&file).unwrap_or_default();
        let text = document::with(&before, &tables, &machine);
        fs::write(file, text).with_context(|| format!("failed to write {RESULT_FILE}"))?;
        println!("written to {RESULT_FILE}");
    }
    Ok(if tables.iter().all(Table::is_whole) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the measuring program in a folder of its own, which is gone afterwards.
fn measure(
    program: &Path,
    contestants: &Contestants,
    s3: Option<&S3Server>,
    options: &Options,
    settings: &Settings,
) -> Result<Value> {
    let interrupts = Interrupts::catch()?;
    // A short name: sockets are made in there, and their paths have a limit.
    let folder = TempDir::with_prefix("sb-")?;
    let mut command = Command::new(program);
    command
        .arg("--steward")
        .arg(&contestants.steward)
        .arg("--offline-model")
        .arg(&contestants.offline_model)
        .arg("--claude")
        .arg(&contestants.claude)
        .arg("--folder")
        .arg(folder.path());
    if let Some(python) = &contestants.python {
        command.arg("--python").arg(python);
    }
    command.envs(s3.map(S3Server::variables).into_iter().flatten());
    if options.quick {
        command.arg("--quick");
    }
    // Without it all the rest can still be measured.
    let cluster = Cluster::start(settings).map_err(|error| println!("no PostgreSQL: {error:#}")).ok();
    if let Some(cluster) = &cluster {
        command.arg("--postgres").arg(cluster.url());
    }
    command.args(&options.filter);
    let mut process = Process::start("the benchmark", &mut command, &interrupts)?;
    let deadline = Instant::now() + RUN_TIMEOUT;
    loop {
        if let Some(line) = process.next_line() {
            return serde_json::from_str(&line).context("the benchmark said something else than its figures");
        }
        if let Err(ended) = process.check_running() {
            // It may have said it between the two looks.
            let line = process.next_line().ok_or(ended)?;
            return serde_json::from_str(&line).context("the benchmark said something else than its figures");
        }
        if Instant::now() > deadline {
            bail!("the benchmark has not ended within {} s", RUN_TIMEOUT.as_secs());
        }
    }
}
