//! `cargo xtask fuzz`: random input, grown by what it reaches, for what reads what agents write.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

use crate::cargo::cargo;

/// Arguments of `fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to feed: the name of a program in fuzz/targets.
    #[arg(default_value = "shell")]
    target: String,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// At most so many inputs, always the same ones: for a check that must not depend on luck.
    #[arg(long)]
    runs: Option<u64>,
}

/// Builds the target with libFuzzer's counters, which a stable compiler can add, and runs it. An input that fails is
/// kept with the tests, which run it from then on.
pub(crate) fn fuzz(root: &Path, options: &Options) -> Result<ExitCode> {
    let triple = host_triple()?;
    let folder = root.join("fuzz");
    // A folder of its own: everything is built with other flags, and nothing else should be built anew for that.
    let output =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into).join("fuzz");
    let mut build = cargo(&folder);
    build.args(["build", "--release", "--locked", "--bin", &options.target, "--target", &triple]);
    let status = build.env("CARGO_TARGET_DIR", &output).status().context("failed to start cargo")?;
    if !status.success() {
        return Ok(ExitCode::FAILURE);
    }
    let forgotten = tempfile::tempdir().context("failed to make a folder for the corpus")?;
    let grown = match options.runs {
        Some(_) => forgotten.path().to_owned(),
        None => output.join("corpus").join(&options.target),
    };
    fs::create_dir_all(&grown).context("failed to make the folder for the corpus")?;
    let seeds = tempfile::tempdir().context("failed to make a folder for the seeds")?;
    let tests = root.join("crates/permissions/tests");
    write_seeds(&tests.join("tables"), seeds.path())?;
    let kept = tests.join("corpus").join(&options.target);
    fs::create_dir_all(&kept).context("failed to make the folder for what is found")?;
    let status = Command::new(output.join(&triple).join("release").join(&options.target))
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-artifact_prefix={}/", kept.display()))
        .args(options.runs.map(|runs| format!("-runs={runs}")))
        .args(options.runs.map(|_| "-seed=1"))
        .args(["-timeout=10", "-max_len=4096", "-print_final_stats=1"])
        .args([&grown, &kept, &seeds.path().to_owned()])
        .status()
        .context("failed to start the fuzz target")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Each field of each row of the tables is something to begin with.
fn write_seeds(tables: &Path, seeds: &Path) -> Result<()> {
    let mut count = 0;
    for table in fs::read_dir(tables).context("failed to list the tables")? {
        let text = fs::read_to_string(table?.path()).context("failed to read a table")?;
        for seed in text.lines().flat_map(|line| line.trim_start_matches("$ ").split('¦')) {
            count += 1;
            fs::write(seeds.join(count.to_string()), seed.trim().replace('⏎', "\n"))
                .context("failed to write a seed")?;
        }
    }
    Ok(())
}

/// The machine to build for: named, because then the flags do not apply to build scripts.
fn host_triple() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("failed to start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc named no host")
}
