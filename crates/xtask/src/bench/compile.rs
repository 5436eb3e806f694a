//! How long `sdk-runtime` takes to compile: with all it depends on, and the crate alone.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cargo;

/// The name by which this alone is asked for.
pub(super) const GROUP: &str = "compile";
const CRATE: &str = "sdk-runtime";

/// Rows for the table. What is needed was fetched before: cargo has just built the workspace.
pub(super) fn measure(root: &Path) -> Result<Vec<Value>> {
    println!("compiling {CRATE} from nothing ...");
    let mut rows = Vec::new();
    for (features, said) in [(&[][..], "default features"), (&["--all-features"][..], "all features")] {
        let target = TempDir::new()?;
        let run = |arguments: &[&str]| -> Result<f64> {
            let mut command = cargo::cargo(root);
            command
                .args(arguments)
                .args(["--quiet", "--package", CRATE])
                .env("CARGO_TARGET_DIR", target.path());
            if arguments == ["build"] {
                command.args(features);
            }
            let started = Instant::now();
            let status = command.status().context("failed to start cargo")?;
            ensure!(status.success(), "cargo {} ended with {status}, see above", arguments.join(" "));
            Ok(started.elapsed().as_secs_f64())
        };
        let whole = run(&["build"])?;
        run(&["clean"])?;
        let alone = run(&["build"])?;
        let how =
            format!("`cargo build --package {CRATE}`, dev profile, {said}; once, in an empty target folder");
        let what = format!("compile time of `{CRATE}`, {said}");
        let alone_how =
            format!("{how}, then again after `cargo clean --package {CRATE}`: what it depends on is there");
        rows.push(json!({ "what": format!("{what}, with all it depends on"), "unit": "s", "ours": whole, "how": how }));
        rows.push(json!({ "what": format!("{what}, the crate alone"), "unit": "s", "ours": alone, "how": alone_how }));
    }
    Ok(rows)
}
