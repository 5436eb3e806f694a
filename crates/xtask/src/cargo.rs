//! Runs cargo, with the target folder the user has chosen or cargo's own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Optimised or quick to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// What is built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Built<'p> {
    /// The programs of these packages.
    Packages(&'p [&'p str]),
    /// Everything, in the way in which tests are built: after those, nothing is left to build.
    AsForTests,
}

/// The cargo that started this tool, in the folder of the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // Said about this package by the cargo that runs it; a build script of another would take it for its own.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"] {
        command.env_remove(name);
    }
    command
}

/// Builds and says where the programs are, by the name of the program.
pub(crate) fn build(root: &Path, built: Built<'_>, profile: Profile) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = cargo(root);
    command.args(["build", "--bins", "--message-format=json-render-diagnostics"]);
    match built {
        Built::Packages(packages) => {
            for package in packages {
                command.args(["--package", package]);
            }
        }
        Built::AsForTests => {
            command.args(["--workspace", "--tests"]);
        }
    }
    if profile == Profile::Release {
        command.arg("--release");
    }
    let output = command.stderr(Stdio::inherit()).output().context("failed to start cargo")?;
    if !output.status.success() {
        bail!("cargo build failed, see above");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(messages.lines().filter_map(program).collect())
}

/// The program a message of cargo's tells of, if it does.
fn program(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let file = message["executable"].as_str()?;
    if message["profile"]["test"] == true {
        return None;
    }
    Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(file)))
}
