//! A Python with the official SDK, in the cache folder: one of the references.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{claude, process, settings::Settings};

const SDK: &str = "claude-agent-sdk";
pub(super) const SDK_VERSION: &str = "0.2.187";
/// Importing the SDK alone takes more than a second, on a cold disk much more.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// The Python of the environment, which is made if it is not there.
pub(super) fn find_or_install(settings: &Settings) -> Result<PathBuf> {
    let cache = claude::cache_folder(settings)?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    // Two of these at once would write into each other's files.
    let lock = File::create(cache.join("bench-venv.lock"))?;
    lock.lock().context("failed to lock the cache folder")?;
    let folder = cache.join("bench-venv");
    let python = folder.join("bin/python");
    if check(&python).is_ok() {
        return Ok(python);
    }
    println!("installing {SDK} {SDK_VERSION} into {} (about 500 MB)", folder.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .context("failed to make an environment; python3 with venv is needed (3.10 or newer)")?;
    let wanted = format!("{SDK}=={SDK_VERSION}");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", &wanted]))
        .with_context(|| format!("failed to install {wanted}"))?;
    check(&python).with_context(|| format!("{wanted} is installed and does not work"))?;
    Ok(python)
}

fn check(python: &Path) -> Result<()> {
    let program = "import claude_agent_sdk; print(claude_agent_sdk.__version__)";
    let found = process::output_within(Command::new(python).args(["-c", program]), CHECK_TIMEOUT)?;
    ensure!(found == SDK_VERSION, "it has version {found}");
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().context("failed to start it")?;
    ensure!(status.success(), "it ended with {status}, see above");
    Ok(())
}
