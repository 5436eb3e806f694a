//! The commands of this repository, each doing its own set-up: `cargo xtask run`, `test`, `coverage`, `bench`, `fuzz`, and
//! those that hold the API to its document: `api-diff`, `clients`, `schemathesis`.

#![expect(
    clippy::disallowed_methods,
    reason = "this tool starts cargo, npm and the server, and is not part of the server"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it speaks to a person at a terminal")]

mod apart;
mod api_diff;
mod bench;
mod bubblewrap;
mod cargo;
mod claude;
mod clients;
mod coverage;
mod demo;
mod deploy_tools;
mod fuzz;
mod http;
mod mcp_server;
mod oidc_provider;
mod packages;
mod postgres;
mod process;
mod prometheus;
mod rehearsal;
mod run;
mod s3;
mod schemathesis;
mod services;
mod settings;
mod test;
mod toolbox;
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
    /// Run all tests with the lines counted that they reach, and write docs/coverage.md.
    Coverage(coverage::Options),
    /// Measure the server beside its references and write docs/benchmarks.md.
    Bench(bench::Options),
    /// Feed random input to what reads what agents write, and keep what fails.
    Fuzz(fuzz::Options),
    /// Compare the API document with the one that clients know, and fail on what would break them.
    ApiDiff(api_diff::Options),
    /// Generate clients from the API document, compile them, and have each drive a session.
    Clients(clients::Options),
    /// Send the server what its API document allows and what it does not, and hold the answers to the document.
    Schemathesis(schemathesis::Options),
}

fn main() -> ExitCode {
    if let Some(error) = coverage::become_the_compiler() {
        eprintln!("xtask: {error:#}");
        return ExitCode::FAILURE;
    }
    let outcome = root().and_then(|root| match Arguments::parse().command {
        Command::Run(options) => run::run(&root, &options),
        Command::Test(options) => test::test(&root, &options),
        Command::Coverage(options) => coverage::coverage(&root, &options),
        Command::Bench(options) => bench::bench(&root, &options),
        Command::Fuzz(options) => fuzz::fuzz(&root, &options),
        Command::ApiDiff(options) => api_diff::api_diff(&root, &options),
        Command::Clients(options) => clients::clients(&root, &options),
        Command::Schemathesis(options) => schemathesis::schemathesis(&root, &options),
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
