//! `cargo xtask coverage`: all tests with the lines counted that they reach, and docs/coverage.md.

mod counting;
mod reached;
mod table;
mod test_code;
mod wrapper;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};

pub(crate) use self::wrapper::become_the_compiler;
use self::{counting::Counting, table::Table};
use crate::{cargo::cargo, services::Services, settings::Settings, test::has_nextest};

const RESULT_FILE: &str = "docs/coverage.md";

/// Arguments of `coverage`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Add to what was counted before instead of beginning anew: for tests that were written since.
    #[arg(long)]
    add: bool,
    /// Passed on: a part of a test's name, or options of the runner. Without all tests, and none counted before,
    /// docs/coverage.md stays as it is and no crate is held to anything.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filters: Vec<String>,
}

/// Runs the tests, prints how many lines of each crate they reach, and writes it down if it was all tests. Fails if a test
/// does or too few lines of a crate are reached.
pub(crate) fn coverage(root: &Path, options: &Options) -> Result<ExitCode> {
    let settings = Settings::read(root);
    ensure!(has_nextest(&mut cargo(root)), "cargo-nextest is needed: cargo install cargo-nextest --locked");
    let counting = Counting::prepare(root, &settings)?;
    if !options.add {
        counting.begin_anew()?;
    }
    let services = Services::start(root, &settings)?;
    let passed = counting.run(&options.filters, services.variables())?;
    drop(services);
    if passed && options.filters.is_empty() {
        counting.note_that_it_is_whole()?;
    }
    let lcov = counting.export()?;
    let table = Table::new(reached::by_crate(&lcov, counting.packages())?);
    println!("\n{}\nline by line, for editors and genhtml: {}", table.rows(), counting.lcov_file().display());
    if !counting.is_whole() {
        println!("not all tests: {RESULT_FILE} stays as it is, and no crate is held to anything");
        return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    ensure!(passed, "tests have failed, see above: {RESULT_FILE} stays as it is");
    fs::write(root.join(RESULT_FILE), table.as_document())
        .with_context(|| format!("failed to write {RESULT_FILE}"))?;
    println!("written to {RESULT_FILE}");
    let too_few = table.too_few();
    ensure!(
        too_few.is_empty(),
        "less than {} % of lines are reached in {}",
        table::AT_LEAST,
        too_few.join(", ")
    );
    Ok(ExitCode::SUCCESS)
}
