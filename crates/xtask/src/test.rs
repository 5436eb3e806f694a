//! `cargo xtask test`: everything tests need, then the tests.

use std::{
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    bubblewrap,
    cargo::cargo,
    claude, deploy_tools, mcp_server, oidc_provider,
    postgres::{self, Cluster},
    process::Interrupts,
    prometheus,
    s3::S3Server,
    settings::Settings,
};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Passed on: a part of a test's name, or options of the runner.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filters: Vec<String>,
}

/// Runs all tests against the pinned CLI, with cargo-nextest where it is installed.
pub(crate) fn test(root: &Path, options: &Options) -> Result<ExitCode> {
    let settings = Settings::read(root);
    let claude = claude::find_or_install_pinned(&settings)?;
    let path = bubblewrap::path_with_bwrap(&settings)?;
    let prometheus = prometheus::find_or_unpack(&settings)?;
    let deploy_tools = deploy_tools::find_or_install(&settings)?;
    let mcp_server = mcp_server::find_or_install(&settings)?;
    let oidc_provider = oidc_provider::find_or_install(&settings)?;
    // Ctrl-C ends cargo, which is in the terminal's group, and then both servers in order.
    let _interrupts = Interrupts::catch()?;
    let cluster = Cluster::start(&settings)?;
    let s3 = S3Server::start(root, &settings)?;
    println!("testing with {}", claude.display());
    let run = |arguments: &[&str]| -> Result<bool> {
        let status = cargo(root)
            .args(arguments)
            .args(&options.filters)
            .env("CLAUDE_CLI_PATH", &claude)
            .env("PATH", &path)
            .envs(s3.variables())
            .env(prometheus::FOLDER_VARIABLE, &prometheus)
            .env(deploy_tools::FOLDER_VARIABLE, &deploy_tools)
            .env(mcp_server::PROGRAM_VARIABLE, &mcp_server)
            .env(oidc_provider::FOLDER_VARIABLE, &oidc_provider)
            .env(postgres::URL_VARIABLE, cluster.url())
            .env(postgres::RUN_VARIABLE, cluster.runner())
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

fn has_nextest(cargo: &mut Command) -> bool {
    let found = cargo.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}
