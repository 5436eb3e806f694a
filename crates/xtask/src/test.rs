//! `cargo xtask test`: everything tests need, then the tests.

use std::{
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result};

use crate::{cargo::cargo, services::Services, settings::Settings};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Passed on: a part of a test's name, or options of the runner.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filters: Vec<String>,
}

/// Runs all tests against the pinned CLI, with cargo-nextest where it is installed.
pub(crate) fn test(root: &Path, options: &Options) -> Result<ExitCode> {
    let services = Services::start(root, &Settings::read(root))?;
    let run = |arguments: &[&str]| -> Result<bool> {
        let status = cargo(root)
            .args(arguments)
            .args(&options.filters)
            .envs(services.variables())
            .stdin(Stdio::null())
            .status()
            .context("failed to start cargo")?;
        Ok(status.success())
    };
    let passed = if !has_nextest(&mut cargo(root)) {
        println!("cargo-nextest is not installed: using cargo test, which is slower");
        run(&["test", "--workspace", "--no-fail-fast"])?
    } else if options.filters.is_empty() {
        // nextest does not know the examples in the documentation.
        run(&["nextest", "run", "--workspace", "--no-fail-fast"])? && run(&["test", "--workspace", "--doc"])?
    } else {
        run(&["nextest", "run", "--workspace", "--no-fail-fast"])?
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether cargo knows this runner of tests.
pub(crate) fn has_nextest(cargo: &mut Command) -> bool {
    let found = cargo.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}
