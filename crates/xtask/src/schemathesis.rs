//! `cargo xtask schemathesis`: whether the server keeps the word of its document, whatever it is sent.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Result;
use tempfile::TempDir;

use crate::{cargo::Built, rehearsal::Rehearsal, settings::Settings, toolbox};

const PACKAGES: &[&str] = &["schemathesis==4.32.5"];
/// What is sent to the server besides its defaults: no request leaves this machine, few agents run, and nothing is
/// refused because much is asked.
const VARIABLES: &[(&str, &str)] = &[
    ("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true"),
    ("MCP_ALLOW_PRIVATE_ADDRESSES", "true"),
    ("MAX_CONCURRENT_INTERACTIVE_SESSIONS", "2"),
    ("MAX_CONCURRENT_BACKGROUND_SESSIONS", "1"),
    ("ALLOW_REGISTRATION", "true"),
    ("RATE_LIMIT_ENABLED", "false"),
];

/// Arguments of `schemathesis`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Build the server as tests are built, so that nothing is built twice after them.
    #[arg(long)]
    after_tests: bool,
    /// What random data are begun from; the same seed sends the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Random cases of each operation, beside those that go along the limits of its schemas.
    #[arg(long, default_value_t = 15)]
    max_examples: u32,
    /// Passed on, after `--`: options of `schemathesis run`, such as `--include-operation-id createSession`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// Sends requests that fit the document and requests that do not to a server on an empty data folder, logged in, and
/// fails if any check of schemathesis does; it prints how to send the request again.
pub(crate) fn schemathesis(root: &Path, options: &Options) -> Result<ExitCode> {
    let settings = Settings::read(root);
    let programs = toolbox::python(&settings, "schemathesis", PACKAGES)?.join("bin");
    let built =
        if options.after_tests { Built::AsForTests } else { Built::Packages(&["server", "offline-model"]) };
    let mut rehearsal = Rehearsal::start(root, &settings, built, VARIABLES)?;
    let folder = root.join("api-spec/schemathesis");
    let scratch = TempDir::with_prefix("schemathesis-")?;
    let mut command = Command::new(programs.join("schemathesis"));
    command
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .arg("run")
        .arg(root.join("api-spec/openapi.json"))
        .args(["--seed", &options.seed.to_string(), "--max-examples", &options.max_examples.to_string()])
        .args(&options.more)
        // It leaves files where it runs; the hooks that the configuration names are where Python looks for them.
        .current_dir(scratch.path())
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let status = rehearsal.run(&mut command)?;
    rehearsal.stop()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
