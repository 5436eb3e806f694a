//! The `claude` CLI: found, or the pinned version installed into the cache folder.

use std::{
    env::consts,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use semver::Version;

use crate::{process, settings::Settings};

/// Without it npm picks, on an older Node, an older CLI and says nothing.
const PINNED_VERSION: &str = include_str!("../../../.claude-cli-version").trim_ascii_end();
const PACKAGE: &str = "@anthropic-ai/claude-code";
/// It is 380 MB, which a cold disk takes a while to read.
const VERSION_TIMEOUT: Duration = Duration::from_secs(60);

/// The CLI for a server: the one configured, else a recent one on `PATH`, else the pinned one.
pub(crate) fn find_or_install(settings: &Settings) -> Result<PathBuf> {
    if let Some(configured) = configured(settings)? {
        return Ok(configured);
    }
    let pinned = Version::parse(PINNED_VERSION)?;
    if let Some(path) = on_path(settings) {
        match version(&path) {
            Ok(version) if version >= pinned => return Ok(path),
            Ok(version) => println!("{} is {version}, older than {pinned}: not used", path.display()),
            Err(error) => println!("{} is not used: {error:#}", path.display()),
        }
    }
    pinned_install(settings)
}

/// The CLI for tests: the one configured, else the pinned one, so that a test says the same everywhere.
pub(crate) fn find_or_install_pinned(settings: &Settings) -> Result<PathBuf> {
    match configured(settings)? {
        Some(configured) => Ok(configured),
        None => pinned_install(settings),
    }
}

fn configured(settings: &Settings) -> Result<Option<PathBuf>> {
    let Some(path) = settings.get("CLAUDE_CLI_PATH").map(PathBuf::from) else { return Ok(None) };
    let found = version(&path).context("CLAUDE_CLI_PATH does not name a CLI that works")?;
    ensure!(
        found >= Version::parse(PINNED_VERSION)?,
        "CLAUDE_CLI_PATH names version {found}, but {PINNED_VERSION} or newer is needed: \
         set it to a newer one, or unset it to have {PINNED_VERSION} installed"
    );
    Ok(Some(path))
}

fn on_path(settings: &Settings) -> Option<PathBuf> {
    std::env::split_paths(settings.get("PATH")?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("claude"))
        .find(|file| file.is_file())
}

fn version(cli: &Path) -> Result<Version> {
    let output = process::output_within(Command::new(cli).arg("--version"), VERSION_TIMEOUT)
        .with_context(|| format!("failed to run {} --version", cli.display()))?;
    let first = output.split_whitespace().next().unwrap_or_default();
    Version::parse(first).with_context(|| format!("{} --version said {output:?}", cli.display()))
}

fn pinned_install(settings: &Settings) -> Result<PathBuf> {
    let cache = cache_folder(settings)?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    let folder = cache.join(format!("claude-{PINNED_VERSION}"));
    // Two of these at once would remove each other's files.
    let lock = File::create(cache.join("claude-install.lock"))?;
    lock.lock().context("failed to lock the cache folder")?;
    let cli = cli_in(&folder);
    if cli.is_file() {
        match check(&cli) {
            Ok(()) => return Ok(cli),
            Err(error) => println!("installing the claude CLI again: {error:#}"),
        }
    }
    install(&cache, &folder, settings)?;
    Ok(cli)
}

/// Installs beside the place and moves it there when it works: an install that was cut off is never taken for whole.
fn install(cache: &Path, folder: &Path, settings: &Settings) -> Result<()> {
    println!("installing the claude CLI {PINNED_VERSION} into {} (about 370 MB)", folder.display());
    let partial = cache.join(format!("claude-{PINNED_VERSION}.partial"));
    remove(&partial)?;
    fs::create_dir(&partial)?;
    npm_install(&partial, settings)?;
    check(&cli_in(&partial)).context(
        "npm has installed no CLI that works; an npm configuration with omit=optional leaves it out",
    )?;
    remove(folder)?;
    fs::rename(&partial, folder).context("failed to move the install to its place")
}

fn npm_install(folder: &Path, settings: &Settings) -> Result<()> {
    let status = Command::new("npm")
        .env("PATH", settings.get("PATH").unwrap_or_default())
        .arg("install")
        .arg("--prefix")
        .arg(folder)
        .args(["--include=optional", "--no-audit", "--no-fund", "--loglevel=error"])
        .arg(format!("{PACKAGE}@{PINNED_VERSION}"))
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("npm install ended with {status}, see above"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "npm is missing, and with it the claude CLI. Install Node.js (18 or newer, with npm), or install the \
             CLI {PINNED_VERSION} in another way and set CLAUDE_CLI_PATH to it"
        ),
        Err(error) => Err(error).context("failed to start npm"),
    }
}

fn check(cli: &Path) -> Result<()> {
    let found = version(cli)?;
    ensure!(found.to_string() == PINNED_VERSION, "{} is version {found}", cli.display());
    Ok(())
}

/// Removes a folder, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Where everything this tool installs goes.
pub(crate) fn cache_folder(settings: &Settings) -> Result<PathBuf> {
    let absolute = |name| settings.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("steward"))
}

/// The program itself: what the package puts into `bin` depends on install scripts being allowed.
fn cli_in(folder: &Path) -> PathBuf {
    folder.join(format!("node_modules/{PACKAGE}-{}/claude", platform()))
}

fn platform() -> String {
    let system = if consts::OS == "macos" { "darwin" } else { consts::OS };
    let processor = match consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let libc = if cfg!(target_env = "musl") { "-musl" } else { "" };
    format!("{system}-{processor}{libc}")
}

#[cfg(test)]
mod tests;
