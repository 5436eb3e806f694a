//! The commands of this repository, each doing its own set-up: `cargo xtask run`, `cargo xtask test`,
//! `cargo xtask bench`, `cargo xtask fuzz`.

#![expect(
    clippy::disallowed_methods,
    reason = "this tool starts cargo, npm and the server, and is not part of the server"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it speaks to a person at a terminal")]

mod bench;
mod bubblewrap;
mod cargo;
mod claude;
mod demo;
mod deploy_tools;
mod fuzz;
mod http;
mod packages;
mod postgres;
mod process;
mod prometheus;
mod run;
mod s3;
mod settings;
mod test;
mod welcome;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// The commands of this repository; each does all of its own set-up.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build and start the server, with everything it needs, until Ctrl-C.
    Run(run::Options),
    /// Run all tests; arguments are passed on to the test runner.
    Test(test::Options),
    /// Measure the server beside its references and write docs/benchmarks.md.
    Bench(bench::Options),
    /// Feed random input to what reads what agents write, and keep what fails.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let outcome = root().and_then(|root| match Arguments::parse().command {
        Command::Run(options) => run::run(&root, &options),
        Command::Test(options) => test::test(&root, &options),
        Command::Bench(options) => bench::bench(&root, &options),
        Command::Fuzz(options) => fuzz::fuzz(&root, &options),
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace: cargo names the folder of this package, two below.
fn root() -> Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").context("start this as: cargo xtask")?;
    let package = PathBuf::from(package);
    let root = package.ancestors().nth(2).context("this package has moved")?;
    Ok(root.to_owned())
}
