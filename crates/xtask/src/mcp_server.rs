//! A real MCP server for tests, which speaks every transport: the protocol's own reference, installed into the cache
//! folder.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{
    claude::{cache_folder, remove},
    settings::Settings,
};

const PACKAGE: &str = "@modelcontextprotocol/server-everything";
const VERSION: &str = "2026.8.31";
/// Tells tests where the program is, which `node` runs.
pub(crate) const PROGRAM_VARIABLE: &str = "STEWARD_TEST_MCP_SERVER";

/// The program, installed if it is not there.
pub(crate) fn find_or_install(settings: &Settings) -> Result<PathBuf> {
    let cache = cache_folder(settings)?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    let folder = cache.join(format!("mcp-server-everything-{VERSION}"));
    let program = folder.join(format!("node_modules/{PACKAGE}/dist/index.js"));
    let lock = File::create(cache.join("mcp-server-everything-install.lock"))?;
    lock.lock().context("failed to lock the cache folder")?;
    if program.is_file() {
        return Ok(program);
    }
    println!("installing {PACKAGE} {VERSION} into {}", folder.display());
    // Beside its place: an install that was cut off is never taken for whole.
    let partial = cache.join(format!("mcp-server-everything-{VERSION}.partial"));
    remove(&partial)?;
    fs::create_dir(&partial)?;
    let status = Command::new("npm")
        .env("PATH", settings.get("PATH").unwrap_or_default())
        .arg("install")
        .arg("--prefix")
        .arg(&partial)
        .args(["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .arg(format!("{PACKAGE}@{VERSION}"))
        .stdin(Stdio::null())
        .status()
        .context("npm cannot be run; install Node.js (18 or newer, with npm)")?;
    ensure!(status.success(), "npm install ended with {status}, see above");
    remove(&folder)?;
    fs::rename(&partial, &folder).context("failed to move the install to its place")?;
    ensure!(program.is_file(), "npm has installed no {}", program.display());
    Ok(program)
}
