//! Tools of Python's and Node's registries, of versions that are named here, in the cache folder.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{claude::cache_folder, settings::Settings};

/// The file that says that an install came to its end.
const COMPLETE: &str = "complete";

/// An environment of Python's with these packages, `name==version` each. It is the folder in which `bin/python` is.
pub(crate) fn python(settings: &Settings, name: &str, packages: &[&str]) -> Result<PathBuf> {
    installed(settings, name, packages, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))
            .context("failed to make an environment; python3 with venv is needed (3.11 or newer)")?;
        let mut pip = Command::new(folder.join("bin/python"));
        run(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages))
    })
}

/// A folder with these packages of Node's, `name@version` each, in its `node_modules`.
pub(crate) fn node(settings: &Settings, name: &str, packages: &[&str]) -> Result<PathBuf> {
    installed(settings, name, packages, |folder| {
        fs::create_dir(folder)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]).arg(folder);
        run(npm.args(packages)).context("Node.js (20 or newer, with npm) is needed")
    })
}

/// The folder `name`, which `install` fills when what it should have is not in it.
fn installed(
    settings: &Settings,
    name: &str,
    packages: &[&str],
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let cache = cache_folder(settings)?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    // Two of these at once would write into each other's files.
    let lock = File::create(cache.join(format!("{name}-install.lock")))?;
    lock.lock().context("failed to lock the cache folder")?;
    let folder = cache.join(name);
    let wanted = packages.join("\n");
    if fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    println!("installing {} into {}", packages.join(", "), folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    install(&folder).with_context(|| format!("failed to install {}", packages.join(", ")))?;
    fs::write(folder.join(COMPLETE), wanted)?;
    Ok(folder)
}

/// Runs a command that is to succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("failed to start {name}"))?;
    ensure!(status.success(), "{name} ended with {status}, see above");
    Ok(())
}
